// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-reduce-rows.mlir:4:{{[0-9]+}}: error: 'mtia.simd_reduce' op reduces 256 rows; a column pass takes at most 128
func.func @f(%a: memref<256x8xf32>, %b: memref<1x8xf32>) {
  "mtia.simd_reduce"(%a, %b) {kind = "csum"} : (memref<256x8xf32>, memref<1x8xf32>) -> ()
  return
}
