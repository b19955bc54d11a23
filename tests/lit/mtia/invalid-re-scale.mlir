// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-re-scale.mlir:4:{{[0-9]+}}: error: 'mtia.re_scale' op scales memref<8x4xf32, 2> by rows with memref<4x1xf32>
func.func @f(%a: memref<8x4xf32, 2>, %b: memref<4x1xf32>) {
  "mtia.re_scale"(%a, %b) : (memref<8x4xf32, 2>, memref<4x1xf32>) -> ()
  return
}
