# RUN: not %mtiac as %s -o %t.elf 2>&1 | %filecheck %s
# RUN: not test -f %t.elf

# CHECK: error.s:6:13: error: add: `rs2` must be an integer register
start:
add a0, a1, 7
