// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-simd-shape.mlir:4:{{[0-9]+}}: error: 'mtia.simd_unary' op has an operand of dynamic shape; tile registers hold constant rows and columns
func.func @f(%a: memref<?xf32>) {
  "mtia.simd_unary"(%a, %a) {kind = "exp"} : (memref<?xf32>, memref<?xf32>) -> ()
  return
}
