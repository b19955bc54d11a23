// RUN: not %mtiac opt %s 2>&1 | %filecheck %s
// CHECK: invalid-cb-number.mlir:4:{{[0-9]+}}: error: 'mtia.cb_next' op circular buffer 14 is not one of the 14 for compiled code
func.func @f() {
  "mtia.cb_next"() {cb = 14 : i64} : () -> ()
  return
}
