// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-copy-type.mlir:4:{{[0-9]+}}: error: 'mtia.copy' op cannot convert types; the memory layout unit moves bits
func.func @f(%a: memref<8xf32>, %b: memref<8xf16>) {
  "mtia.copy"(%a, %b) : (memref<8xf32>, memref<8xf16>) -> ()
  return
}
