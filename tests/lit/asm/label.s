# RUN: not %mtiac as %s -o %t.elf 2>&1 | %filecheck %s
# CHECK: label.s:4:{{[0-9]+}}: error: {{.*}}nowhere
start:
    j nowhere
