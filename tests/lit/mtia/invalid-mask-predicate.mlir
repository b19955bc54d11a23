// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-mask-predicate.mlir:4:{{[0-9]+}}: error: 'mtia.mask' op predicate is one of eq, ge, gt, le, lt, ne
func.func @f(%a: memref<8xi1>, %n: index) {
  "mtia.mask"(%a, %n, %n, %n) {predicate = "slt"} : (memref<8xi1>, index, index, index) -> ()
  return
}
