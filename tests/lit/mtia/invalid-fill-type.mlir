// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-fill-type.mlir:4:{{[0-9]+}}: error: 'mtia.fill' op fills a memref with a value of its element type
func.func @f(%a: memref<8xf32>, %n: f16) {
  "mtia.fill"(%n, %a) : (f16, memref<8xf32>) -> ()
  return
}
