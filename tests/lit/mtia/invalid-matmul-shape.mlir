// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-matmul-shape.mlir:4:{{[0-9]+}}: error: 'mtia.matmul' op shapes do not match: 8x4 times 8x4
func.func @f(%a: memref<8x4xf16>, %c: memref<8x8xf32, 2>) {
  "mtia.matmul"(%a, %a, %c) {zero = true} : (memref<8x4xf16>, memref<8x4xf16>, memref<8x8xf32, 2>) -> ()
  return
}
