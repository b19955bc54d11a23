# RUN: not %mtiac as %s -o %t.elf 2>&1 | %filecheck %s
# CHECK: immediate.s:4:{{[0-9]+}}: error: {{.*}}2048
start:
    addi a0, a0, 2048
