// RUN: not %mtiac opt %s 2>&1 | %filecheck %s

func.func @f(%a: i64) {
  // CHECK: invalid-tile-register.mlir:5:{{[0-9]+}}: error: 'pe.td_off' op `td` must be a tile register
  "pe.td_off"(%a) {td = 32 : i64} : (i64) -> ()
  return
}
