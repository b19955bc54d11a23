// RUN: %mtiac opt %s | %filecheck %s

// CHECK-LABEL: func.func @commands
func.func @commands(%a: i64, %b: i64) {
  // CHECK: "pe.cb_init"(%arg0, %arg1) {cb = 3 : i64} : (i64, i64) -> ()
  "pe.cb_init"(%a, %b) {cb = 3 : i64} : (i64, i64) -> ()
  // CHECK: "pe.td_off"(%arg0) {td = 31 : i64} : (i64) -> ()
  "pe.td_off"(%a) {td = 31 : i64} : (i64) -> ()
  // CHECK: "pe.se_add"() {a = 1 : i64, b = 2 : i64, d = 0 : i64} : () -> ()
  "pe.se_add"() {d = 0 : i64, a = 1 : i64, b = 2 : i64} : () -> ()
  // CHECK: %[[R:.*]] = "pe.rdinfo"() {k = 1 : i64} : () -> i64
  %r = "pe.rdinfo"() {k = 1 : i64} : () -> i64
  // CHECK: "pe.view"(%[[R]]) : (i64) -> memref<4x8xf32, strided<[16, 1]>>
  %m = "pe.view"(%r) : (i64) -> memref<4x8xf32, strided<[16, 1]>>
  // CHECK: "pe.view"(%arg0) : (i64) -> memref<?xf16, 1>
  %g = "pe.view"(%a) : (i64) -> memref<?xf16, 1>
  return
}
