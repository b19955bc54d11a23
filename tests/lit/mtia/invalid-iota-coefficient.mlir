// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-iota-coefficient.mlir:4:{{[0-9]+}}: error: 'mtia.iota' op takes its coefficients as index
func.func @f(%a: memref<8xi32>, %n: i32) {
  "mtia.iota"(%a, %n, %n, %n) : (memref<8xi32>, i32, i32, i32) -> ()
  return
}
