// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-simd-type.mlir:4:{{[0-9]+}}: error: 'mtia.simd_unary' op has type f64, which the SIMD engine does not compute on
func.func @f(%a: memref<8xf64>) {
  "mtia.simd_unary"(%a, %a) {kind = "exp"} : (memref<8xf64>, memref<8xf64>) -> ()
  return
}
