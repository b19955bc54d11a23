// RUN: not %mtiac opt %s 2>&1 | %filecheck %s

func.func @f(%a: i64) {
  // CHECK: invalid-view-type.mlir:5:{{[0-9]+}}: error: 'pe.view' op gives a memref
  %m = "pe.view"(%a) : (i64) -> i32
  return
}
