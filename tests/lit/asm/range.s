# RUN: not %mtiac as %s -o %t.elf 2>&1 | %filecheck %s
# CHECK: range.s:4:25: error: xm.se.add: `b` must be a tile register (td0 … td31)
start:
    xm.se.add td0, td1, td32
