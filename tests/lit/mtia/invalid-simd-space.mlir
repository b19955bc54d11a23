// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-simd-space.mlir:4:{{[0-9]+}}: error: 'mtia.simd_unary' op cannot reach device memory with this operand
func.func @f(%a: memref<8xf32, 1>, %b: memref<8xf32>) {
  "mtia.simd_unary"(%a, %b) {kind = "exp"} : (memref<8xf32, 1>, memref<8xf32>) -> ()
  return
}
