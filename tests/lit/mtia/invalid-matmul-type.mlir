// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-matmul-type.mlir:4:{{[0-9]+}}: error: 'mtia.matmul' op multiplies f32 by f32 into f32; the dot-product engine has f16 and bf16 into f32, and i8 into i32
func.func @f(%a: memref<8x8xf32>, %c: memref<8x8xf32, 2>) {
  "mtia.matmul"(%a, %a, %c) {zero = true} : (memref<8x8xf32>, memref<8x8xf32>, memref<8x8xf32, 2>) -> ()
  return
}
