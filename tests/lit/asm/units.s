# RUN: %mtiac as %s -o %t.elf
# RUN: %mtiac objdump %t.elf | %filecheck %s

# One instruction of every class of Xmtia comes back as it was written.
# CHECK: _start_units:
_start_units:
# CHECK-NEXT: xm.cb.init cb3, a0, a1
    xm.cb.init cb3, a0, a1
# CHECK-NEXT: xm.cb.push cb3
    xm.cb.push cb3
# CHECK-NEXT: xm.td.local td4, a2, a3
    xm.td.local td4, a2, a3
# CHECK-NEXT: xm.td.shape td4, a2, a3
    xm.td.shape td4, a2, a3
# CHECK-NEXT: xm.gd.base td5, a4, a5
    xm.gd.base td5, a4, a5
# CHECK-NEXT: xm.dma.in td4, td5
    xm.dma.in td4, td5
# CHECK-NEXT: xm.dpe.mmz td1, td6, td7
    xm.dpe.mmz td1, td6, td7
# CHECK-NEXT: xm.re.drain td8, td1
    xm.re.drain td8, td1
# CHECK-NEXT: xm.se.fma td8, td9, td10, td11
    xm.se.fma td8, td9, td10, td11
# CHECK-NEXT: xm.mlu.trans td12, td8
    xm.mlu.trans td12, td8
# CHECK-NEXT: xm.rdinfo a0, 0
    xm.rdinfo a0, 0
# CHECK-NEXT: xm.barrier a0
    xm.barrier a0
# CHECK-NEXT: xm.exit
    xm.exit
