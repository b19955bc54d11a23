// RUN: not %mtiac opt %s 2>&1 | %filecheck %s

func.func @f(%a: i64) {
  // CHECK: invalid-view-offset.mlir:5:{{[0-9]+}}: error: 'pe.view' op needs constant strides and no offset
  %m = "pe.view"(%a) : (i64) -> memref<4xf32, strided<[1], offset: 3>>
  return
}
