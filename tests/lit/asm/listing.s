# RUN: %mtiac as %s -o %t.elf
# RUN: %mtiac objdump %t.elf | %filecheck %s

# CHECK: _start_sum:
_start_sum:
    li      t0, 0x12345678
    ld      a1, 32(a0)
    vsetvli t1, a2, e32, m2, ta, ma
loop:
    vle32.v v8, (a1)
    vfmacc.vf v8, fa0, v10, v0.t
    fadd.s  fa1, fa1, fa2, rtz
    c.addi  a1, 4
    bnez    a2, loop
    beqz    a3, 1f
    xm.wait a4
1:  xm.exit

# CHECK-NEXT: lui t0, 74565
# CHECK-NEXT: addiw t0, t0, 1656
# CHECK-NEXT: ld a1, 32(a0)
# CHECK-NEXT: vsetvli t1, a2, e32, m2, ta, ma
# CHECK-NEXT: loop:
# CHECK-NEXT: vle32.v v8, (a1)
# CHECK-NEXT: vfmacc.vf v8, fa0, v10, v0.t
# CHECK-NEXT: fadd.s fa1, fa1, fa2, rtz
# CHECK-NEXT: c.addi a1, 4
# CHECK-NEXT: bne a2, zero, loop
# CHECK-NEXT: beq a3, zero, .L[[END:[0-9a-f]+]]
# CHECK-NEXT: xm.wait a4
# CHECK-NEXT: .L[[END]]:
# CHECK-NEXT: xm.exit
