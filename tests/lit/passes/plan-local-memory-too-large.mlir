// RUN: not %mtiac opt --pass=plan-local-memory --target=mtia200 %s 2>&1 | %filecheck %s
// CHECK: plan-local-memory-too-large.mlir:4:{{[0-9]+}}: error: the blocks of this kernel need 524288 bytes of local memory, 368640 are available; use smaller blocks
func.func @f(%x: memref<?xf32, 1>) {
  %a = memref.alloc() : memref<131072xf32>
  %s = memref.reinterpret_cast %x to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  "mtia.dma_in"(%s, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<131072xf32, strided<[1]>, 1>, memref<131072xf32>) -> ()
  return
}
