// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-prefetch.mlir:4:{{[0-9]+}}: error: 'mtia.prefetch' op prefetches device memory (space 1) only
func.func @f(%a: memref<8xf32>) {
  "mtia.prefetch"(%a) : (memref<8xf32>) -> ()
  return
}
