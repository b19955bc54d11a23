// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-dma-fill.mlir:4:{{[0-9]+}}: error: 'mtia.dma_in' op fills f32 elements with a f16
func.func @f(%a: memref<8xf32, 1>, %b: memref<8xf32>, %n: index, %f: f16) {
  "mtia.dma_in"(%a, %b, %n, %n, %f) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1>} : (memref<8xf32, 1>, memref<8xf32>, index, index, f16) -> ()
  return
}
