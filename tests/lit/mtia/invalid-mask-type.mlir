// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-mask-type.mlir:4:{{[0-9]+}}: error: 'mtia.mask' op writes masks of type i1 or i8
func.func @f(%a: memref<8xf32>, %n: index) {
  "mtia.mask"(%a, %n, %n, %n) {predicate = "lt"} : (memref<8xf32>, index, index, index) -> ()
  return
}
