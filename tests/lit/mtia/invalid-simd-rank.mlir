// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-simd-rank.mlir:4:{{[0-9]+}}: error: 'mtia.simd_unary' op has an operand of rank 3; a tile register has rows and columns only
func.func @f(%a: memref<2x2x2xf32>) {
  "mtia.simd_unary"(%a, %a) {kind = "exp"} : (memref<2x2x2xf32>, memref<2x2x2xf32>) -> ()
  return
}
