// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-dma-bounds.mlir:4:{{[0-9]+}}: error: 'mtia.dma_out' op has 1 bounds for rank 2
func.func @f(%a: memref<8x8xf32, 1>, %b: memref<8x8xf32>, %n: index) {
  "mtia.dma_out"(%b, %a, %n, %n) {operandSegmentSizes = array<i32: 1, 1, 1, 1>} : (memref<8x8xf32>, memref<8x8xf32, 1>, index, index) -> ()
  return
}
