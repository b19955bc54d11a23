// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-simd-kind.mlir:4:{{[0-9]+}}: error: 'mtia.simd_binary' op kind 'atan2' is not one of add, and, copysign
func.func @f(%a: memref<8xf32>) {
  "mtia.simd_binary"(%a, %a, %a) {kind = "atan2"} : (memref<8xf32>, memref<8xf32>, memref<8xf32>) -> ()
  return
}
