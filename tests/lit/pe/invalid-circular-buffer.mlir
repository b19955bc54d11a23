// RUN: not %mtiac opt %s 2>&1 | %filecheck %s

func.func @f(%a: i64) {
  // CHECK: invalid-circular-buffer.mlir:5:{{[0-9]+}}: error: 'pe.cb_push' op `cb` must be a circular buffer
  "pe.cb_push"() {cb = 32 : i64} : () -> ()
  return
}
