// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-id-type.mlir:4:{{[0-9]+}}: error: 'mtia.num_programs' op must give i32 or index
func.func @f() {
  %r = "mtia.num_programs"() {axis = 0 : i32} : () -> f32
  return
}
