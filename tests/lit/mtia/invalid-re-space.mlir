// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-re-space.mlir:4:{{[0-9]+}}: error: 'mtia.re_zero' op cannot reach local memory with this operand
func.func @f(%a: memref<8x4xf32>) {
  "mtia.re_zero"(%a) : (memref<8x4xf32>) -> ()
  return
}
