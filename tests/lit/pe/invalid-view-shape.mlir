// RUN: not %mtiac opt %s 2>&1 | %filecheck %s

func.func @f(%a: i64) {
  // CHECK: invalid-view-shape.mlir:5:{{[0-9]+}}: error: 'pe.view' op needs a static shape, or one dimension of unknown size
  %m = "pe.view"(%a) : (i64) -> memref<?x4xf32>
  return
}
