// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-simd-broadcast.mlir:4:{{[0-9]+}}: error: 'mtia.simd_ternary' op cannot broadcast memref<4x8xf32> to memref<8x8xf32>
func.func @f(%a: memref<4x8xf32>, %b: memref<8x8xf32>) {
  "mtia.simd_ternary"(%a, %b, %b, %b) {kind = "fma"} : (memref<4x8xf32>, memref<8x8xf32>, memref<8x8xf32>, memref<8x8xf32>) -> ()
  return
}
