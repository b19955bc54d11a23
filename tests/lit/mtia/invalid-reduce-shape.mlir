// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-reduce-shape.mlir:4:{{[0-9]+}}: error: 'mtia.simd_reduce' op writes memref<8x1xf32> for a source of 4x8
func.func @f(%a: memref<4x8xf32>, %b: memref<8x1xf32>) {
  "mtia.simd_reduce"(%a, %b) {kind = "rsum"} : (memref<4x8xf32>, memref<8x1xf32>) -> ()
  return
}
