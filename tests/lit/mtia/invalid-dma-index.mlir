// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-dma-index.mlir:4:{{[0-9]+}}: error: 'mtia.dma_in_indexed' op takes one index a row of the local tile
func.func @f(%a: memref<8x4xf32, 1>, %b: memref<8x4xf32>, %i: memref<4xi32>) {
  "mtia.dma_in_indexed"(%a, %b, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0>} : (memref<8x4xf32, 1>, memref<8x4xf32>, memref<4xi32>) -> ()
  return
}
