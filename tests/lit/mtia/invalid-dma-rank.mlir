// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-dma-rank.mlir:4:{{[0-9]+}}: error: 'mtia.dma_in' op has rank 5; a descriptor has at most 4 dimensions
func.func @f(%a: memref<1x1x1x1x8xf32, 1>, %b: memref<1x1x1x1x8xf32>) {
  "mtia.dma_in"(%a, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x1x1x1x8xf32, 1>, memref<1x1x1x1x8xf32>) -> ()
  return
}
