// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-dma-type.mlir:4:{{[0-9]+}}: error: 'mtia.dma_in' op cannot convert types on the way; the fabric interface moves bytes
func.func @f(%a: memref<64xf32, 1>, %b: memref<64xf16>) {
  "mtia.dma_in"(%a, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, 1>, memref<64xf16>) -> ()
  return
}
