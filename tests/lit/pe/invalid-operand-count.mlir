// RUN: not %mtiac opt %s 2>&1 | %filecheck %s

func.func @f(%a: i64) {
  // CHECK: invalid-operand-count.mlir:5:{{[0-9]+}}: error: op expects exactly 1 operands
  "pe.td_off"() {td = 1 : i64} : () -> ()
  return
}
