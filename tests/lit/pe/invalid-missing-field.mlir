// RUN: not %mtiac opt %s 2>&1 | %filecheck %s

func.func @f(%a: i64) {
  // CHECK: invalid-missing-field.mlir:5:{{[0-9]+}}: error: 'pe.td_off' op needs attribute 'td'
  "pe.td_off"(%a) : (i64) -> ()
  return
}
