// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-dma-space.mlir:4:{{[0-9]+}}: error: 'mtia.dma_in' op moves between device memory (space 1) and local memory
func.func @f(%a: memref<64xf32>, %b: memref<64xf32>) {
  "mtia.dma_in"(%a, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32>, memref<64xf32>) -> ()
  return
}
