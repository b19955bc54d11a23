// RUN: %mtiac opt --pass=plan-local-memory --target=mtia300 %s | %filecheck %s
// A result may lie over an operand of the same element size, not over a mask whose bytes are behind the elements written.
// CHECK: memref.alloc() {mtia.cb = 0 : i64, mtia.offset = [[A:[0-9]+]] : i64} : memref<2x2xf32>
// CHECK: memref.alloc() {mtia.cb = 0 : i64, mtia.offset = [[MASK:[0-9]+]] : i64} : memref<2x2xi1>
// CHECK-NOT: mtia.offset = [[MASK]] : i64} : memref<2x2xf32>
// CHECK: return
func.func @choose(%n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = arith.constant 1.0 : f32
  %a = memref.alloc() : memref<2x2xf32>
  "mtia.simd_unary"(%x, %a) {kind = "cvt"} : (f32, memref<2x2xf32>) -> ()
  %m = memref.alloc() : memref<2x2xi1>
  "mtia.mask"(%m, %c1, %c0, %c0) {predicate = "gt"} : (memref<2x2xi1>, index, index, index) -> ()
  %r = memref.alloc() : memref<2x2xf32>
  "mtia.simd_ternary"(%m, %a, %x, %r) {kind = "sel"} : (memref<2x2xi1>, memref<2x2xf32>, f32, memref<2x2xf32>) -> ()
  %s = memref.alloc() : memref<2x1xf32>
  "mtia.simd_reduce"(%r, %s) {kind = "rsum"} : (memref<2x2xf32>, memref<2x1xf32>) -> ()
  "mtia.simd_binary"(%a, %r, %a) {kind = "add"} : (memref<2x2xf32>, memref<2x2xf32>, memref<2x2xf32>) -> ()
  return
}
