// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-axis.mlir:4:{{[0-9]+}}: error: 'mtia.program_id' op axis 3 does not exist; a grid has axes 0, 1 and 2
func.func @f() {
  %r = "mtia.program_id"() {axis = 3 : i32} : () -> i32
  return
}
