// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-matmul-space.mlir:4:{{[0-9]+}}: error: 'mtia.matmul' op cannot reach local memory with this operand
func.func @f(%a: memref<8x8xf16>, %c: memref<8x8xf32>) {
  "mtia.matmul"(%a, %a, %c) {zero = true} : (memref<8x8xf16>, memref<8x8xf16>, memref<8x8xf32>) -> ()
  return
}
