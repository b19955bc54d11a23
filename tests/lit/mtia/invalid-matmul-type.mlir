// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-matmul-type.mlir:4:{{[0-9]+}}: error: 'mtia.matmul' op multiplies f64 by f64 into f32; the dot-product engine has 8-bit floats, f16, bf16 and f32 rounded to tf32 into f32, and i8 into i32
func.func @f(%a: memref<8x8xf64>, %c: memref<8x8xf32, 2>) {
  "mtia.matmul"(%a, %a, %c) {zero = true} : (memref<8x8xf64>, memref<8x8xf64>, memref<8x8xf32, 2>) -> ()
  return
}
