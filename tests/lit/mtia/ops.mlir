// RUN: %mtiac opt %s | %filecheck %s
// Every operation of the dialect is read, verified and printed again.

// CHECK-LABEL: func.func @ops
func.func @ops(%g: memref<?xf16, 1>, %n: index, %s: f32) {
  %c0 = arith.constant 0 : index
  %h = arith.constant 0.0 : f16
  // CHECK: "mtia.program_id"() {axis = 0 : i32} : () -> i32
  %p = "mtia.program_id"() {axis = 0 : i32} : () -> i32
  // CHECK: "mtia.num_programs"() {axis = 2 : i32} : () -> index
  %q = "mtia.num_programs"() {axis = 2 : i32} : () -> index
  %v = memref.reinterpret_cast %g to offset: [%n], sizes: [64, 32], strides: [%n, 1] : memref<?xf16, 1> to memref<64x32xf16, strided<[?, 1], offset: ?>, 1>
  %a = memref.alloc() : memref<64x32xf16>
  %b = memref.alloc() : memref<32x64xf16>
  %i = memref.alloc() : memref<64xi32>
  %f = memref.alloc() : memref<64x64xf32>
  %m = memref.alloc() : memref<64x64xi1>
  %r = memref.alloc() : memref<64x1xf32>
  %acc = memref.alloc() : memref<64x64xf32, 2>
  // CHECK: "mtia.dma_in"(%{{.*}}) {operandSegmentSizes = array<i32: 1, 1, 2, 2, 1>}
  "mtia.dma_in"(%v, %a, %c0, %c0, %n, %n, %h) {operandSegmentSizes = array<i32: 1, 1, 2, 2, 1>} : (memref<64x32xf16, strided<[?, 1], offset: ?>, 1>, memref<64x32xf16>, index, index, index, index, f16) -> ()
  // CHECK: "mtia.dma_in_indexed"
  "mtia.dma_in_indexed"(%v, %a, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0>} : (memref<64x32xf16, strided<[?, 1], offset: ?>, 1>, memref<64x32xf16>, memref<64xi32>) -> ()
  // CHECK: "mtia.dma_out"
  "mtia.dma_out"(%a, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64x32xf16>, memref<64x32xf16, strided<[?, 1], offset: ?>, 1>) -> ()
  // CHECK: "mtia.dma_out_indexed"
  "mtia.dma_out_indexed"(%a, %v, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>} : (memref<64x32xf16>, memref<64x32xf16, strided<[?, 1], offset: ?>, 1>, memref<64xi32>) -> ()
  // CHECK: "mtia.prefetch"
  "mtia.prefetch"(%v) : (memref<64x32xf16, strided<[?, 1], offset: ?>, 1>) -> ()
  // CHECK: "mtia.matmul"(%{{.*}}) {zero = true}
  "mtia.matmul"(%a, %b, %acc) {zero = true} : (memref<64x32xf16>, memref<32x64xf16>, memref<64x64xf32, 2>) -> ()
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "exp"}
  "mtia.simd_unary"(%acc, %f) {kind = "exp"} : (memref<64x64xf32, 2>, memref<64x64xf32>) -> ()
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "mul"}
  "mtia.simd_binary"(%f, %s, %f) {kind = "mul"} : (memref<64x64xf32>, f32, memref<64x64xf32>) -> ()
  // CHECK: "mtia.mask"(%{{.*}}) {predicate = "ge"}
  "mtia.mask"(%m, %n, %n, %n) {predicate = "ge"} : (memref<64x64xi1>, index, index, index) -> ()
  // CHECK: "mtia.simd_ternary"(%{{.*}}) {kind = "sel"}
  "mtia.simd_ternary"(%m, %f, %r, %f) {kind = "sel"} : (memref<64x64xi1>, memref<64x64xf32>, memref<64x1xf32>, memref<64x64xf32>) -> ()
  // CHECK: "mtia.simd_reduce"(%{{.*}}) {kind = "rmax"}
  "mtia.simd_reduce"(%f, %r) {kind = "rmax"} : (memref<64x64xf32>, memref<64x1xf32>) -> ()
  %ints = memref.alloc() : memref<64x64xi32>
  // CHECK: "mtia.iota"
  "mtia.iota"(%ints, %n, %n, %n) : (memref<64x64xi32>, index, index, index) -> ()
  // CHECK: "mtia.fill"
  "mtia.fill"(%h, %a) : (f16, memref<64x32xf16>) -> ()
  %t = memref.alloc() : memref<32x64xf16>
  // CHECK: "mtia.transpose"
  "mtia.transpose"(%a, %t) : (memref<64x32xf16>, memref<32x64xf16>) -> ()
  // CHECK: "mtia.copy"
  "mtia.copy"(%b, %t) : (memref<32x64xf16>, memref<32x64xf16>) -> ()
  %f16 = memref.alloc() : memref<64x64xf16>
  // CHECK: "mtia.gather"
  "mtia.gather"(%b, %i, %f16) : (memref<32x64xf16>, memref<64xi32>, memref<64x64xf16>) -> ()
  // CHECK: "mtia.re_zero"
  "mtia.re_zero"(%acc) : (memref<64x64xf32, 2>) -> ()
  // CHECK: "mtia.re_load"
  "mtia.re_load"(%r, %acc) : (memref<64x1xf32>, memref<64x64xf32, 2>) -> ()
  // CHECK: "mtia.re_scale"
  "mtia.re_scale"(%acc, %r) : (memref<64x64xf32, 2>, memref<64x1xf32>) -> ()
  // CHECK: "mtia.re_drain"
  "mtia.re_drain"(%acc, %f16) : (memref<64x64xf32, 2>, memref<64x64xf16>) -> ()
  // CHECK: "mtia.cb_next"() {cb = 3 : i64}
  "mtia.cb_next"() {cb = 3 : i64} : () -> ()
  // CHECK: "mtia.hart_wait"(%{{.*}})
  "mtia.hart_wait"(%a) : (memref<64x32xf16>) -> ()
  // CHECK: "mtia.wait"() {units = 2 : i64}
  "mtia.wait"() {units = 2 : i64} : () -> ()
  // CHECK: "mtia.barrier"()
  "mtia.barrier"() : () -> ()
  return
}
