// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-transpose-shape.mlir:4:{{[0-9]+}}: error: 'mtia.transpose' op cannot transpose memref<8x4xf32> into memref<8x4xf32>
func.func @f(%a: memref<8x4xf32>) {
  "mtia.transpose"(%a, %a) : (memref<8x4xf32>, memref<8x4xf32>) -> ()
  return
}
