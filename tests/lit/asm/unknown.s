# RUN: not %mtiac as %s -o %t.elf 2>&1 | %filecheck %s
# CHECK: unknown.s:4:{{[0-9]+}}: error: {{.*}}xm.se.frobnicate
start:
    xm.se.frobnicate td0, td1
