// RUN: %mtiac opt --pass=select-engines --target=mtia300 %s | %filecheck %s

// A fresh product that needs nothing of the work between goes up behind the fresh product before it, with its load and
// address: units work in order, and behind `exp` it would wait for the SIMD engine.
// CHECK-LABEL: func.func @with_its_load
func.func @with_its_load(%a: memref<16x16xf16>, %b: memref<16x16xf16>, %g: memref<?xf16, 1>, %n: index,
                         %p: memref<16x16xf32>, %q: memref<16x16xf32>) {
  // CHECK: %[[S:.*]] = memref.alloc() : memref<16x16xf32, 2>
  // CHECK: "mtia.matmul"(%arg0, %arg1, %[[S]]) {zero = true}
  // CHECK-NEXT: %[[T:.*]] = memref.alloc() : memref<16x16xf16>
  // CHECK-NEXT: %[[O:.*]] = arith.addi %arg3, %arg3
  // CHECK-NEXT: %[[V:.*]] = memref.reinterpret_cast %arg2 to offset: [%[[O]]]
  // CHECK-NEXT: "mtia.dma_in"(%[[V]], %[[T]])
  // CHECK-NEXT: %[[U:.*]] = memref.alloc() : memref<16x16xf32, 2>
  // CHECK-NEXT: "mtia.matmul"(%arg0, %[[T]], %[[U]]) {zero = true}
  // CHECK-NEXT: "mtia.simd_unary"(%[[S]], %arg4) {kind = "exp"}
  // CHECK-NEXT: "mtia.simd_unary"(%[[U]], %arg5) {kind = "exp"}
  %s = memref.alloc() : memref<16x16xf32, 2>
  "mtia.matmul"(%a, %b, %s) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  "mtia.simd_unary"(%s, %p) {kind = "exp"} : (memref<16x16xf32, 2>, memref<16x16xf32>) -> ()
  %t = memref.alloc() : memref<16x16xf16>
  %o = arith.addi %n, %n : index
  %v = memref.reinterpret_cast %g to offset: [%o], sizes: [16, 16], strides: [16, 1] : memref<?xf16, 1> to memref<16x16xf16, strided<[16, 1], offset: ?>, 1>
  "mtia.dma_in"(%v, %t) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<16x16xf16, strided<[16, 1], offset: ?>, 1>, memref<16x16xf16>) -> ()
  %u = memref.alloc() : memref<16x16xf32, 2>
  "mtia.matmul"(%a, %t, %u) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  "mtia.simd_unary"(%u, %q) {kind = "exp"} : (memref<16x16xf32, 2>, memref<16x16xf32>) -> ()
  return
}

// Not where it multiplies what was computed between.
// CHECK-LABEL: func.func @needs_the_work
// CHECK: "mtia.matmul"
// CHECK-NEXT: "mtia.simd_unary"
// CHECK-NEXT: "mtia.matmul"
func.func @needs_the_work(%a: memref<16x16xf16>, %b: memref<16x16xf16>, %t: memref<16x16xf16>,
                          %s: memref<16x16xf32, 2>, %u: memref<16x16xf32, 2>) {
  "mtia.matmul"(%a, %b, %s) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  "mtia.simd_unary"(%s, %t) {kind = "exp"} : (memref<16x16xf32, 2>, memref<16x16xf16>) -> ()
  "mtia.matmul"(%t, %b, %u) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  return
}

// Nor where its sums overwrite what is still read between, there or in a loop there; past other reads it goes.
// CHECK-LABEL: func.func @overwrites
// CHECK: "mtia.matmul"(%arg0, %arg1, %arg3)
// CHECK-NEXT: "mtia.simd_unary"(%arg3, %arg2)
// CHECK-NEXT: "mtia.matmul"(%arg1, %arg0, %arg3)
// CHECK-NEXT: scf.for
// CHECK: "mtia.simd_unary"(%arg3, %arg2)
// CHECK: "mtia.matmul"(%arg0, %arg0, %arg3)
// CHECK-NEXT: "mtia.matmul"(%arg1, %arg1, %arg4)
// CHECK-NEXT: scf.for
// CHECK-NEXT: "mtia.simd_unary"(%arg3, %arg2)
func.func @overwrites(%a: memref<16x16xf16>, %b: memref<16x16xf16>, %p: memref<16x16xf32>,
                      %s: memref<16x16xf32, 2>, %u: memref<16x16xf32, 2>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  "mtia.matmul"(%a, %b, %s) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  "mtia.simd_unary"(%s, %p) {kind = "exp"} : (memref<16x16xf32, 2>, memref<16x16xf32>) -> ()
  "mtia.matmul"(%b, %a, %s) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  scf.for %i = %c0 to %n step %c1 {
    "mtia.simd_unary"(%s, %p) {kind = "exp"} : (memref<16x16xf32, 2>, memref<16x16xf32>) -> ()
  }
  "mtia.matmul"(%a, %a, %s) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  scf.for %i = %c0 to %n step %c1 {
    "mtia.simd_unary"(%s, %p) {kind = "exp"} : (memref<16x16xf32, 2>, memref<16x16xf32>) -> ()
  }
  "mtia.matmul"(%b, %b, %u) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  return
}

// A scale writes the sums it names first; a mask and an `iota` what they name first.
// CHECK-LABEL: func.func @written_first
// CHECK: "mtia.matmul"(%arg0, %arg1, %arg3)
// CHECK-NEXT: "mtia.iota"(%arg0
// CHECK-NEXT: "mtia.matmul"(%arg0, %arg1, %arg4)
// CHECK-NEXT: "mtia.re_scale"(%arg3, %arg2)
// CHECK-NEXT: "mtia.mask"
func.func @written_first(%a: memref<16x16xf16>, %b: memref<16x16xf16>, %r: memref<16x1xf32>,
                         %s: memref<16x16xf32, 2>, %u: memref<16x16xf32, 2>, %m: memref<16x16xi1>) {
  %c0 = arith.constant 0 : index
  "mtia.matmul"(%a, %b, %s) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  "mtia.iota"(%a, %c0, %c0, %c0) : (memref<16x16xf16>, index, index, index) -> ()
  "mtia.matmul"(%a, %b, %u) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  "mtia.re_scale"(%s, %r) : (memref<16x16xf32, 2>, memref<16x1xf32>) -> ()
  "mtia.mask"(%m, %c0, %c0, %c0) {predicate = "gt"} : (memref<16x16xi1>, index, index, index) -> ()
  return
}

// A load may not come before a store to device memory, which may be the memory it loads; a product alone may.
// CHECK-LABEL: func.func @stores
// CHECK: "mtia.matmul"(%arg0, %arg1
// CHECK: "mtia.dma_out"
// CHECK: "mtia.dma_in"
// CHECK-NEXT: "mtia.matmul"(%arg0, %arg3
// CHECK-NEXT: "mtia.matmul"(%arg1, %arg1
// CHECK-NEXT: "mtia.dma_out"
func.func @stores(%a: memref<16x16xf16>, %b: memref<16x16xf16>, %g: memref<?xf16, 1>, %t: memref<16x16xf16>,
                  %s: memref<16x16xf32, 2>, %u: memref<16x16xf32, 2>, %w: memref<16x16xf32, 2>) {
  %v = memref.reinterpret_cast %g to offset: [0], sizes: [16, 16], strides: [16, 1] : memref<?xf16, 1> to memref<16x16xf16, strided<[16, 1]>, 1>
  "mtia.matmul"(%a, %b, %s) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  "mtia.dma_out"(%b, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<16x16xf16>, memref<16x16xf16, strided<[16, 1]>, 1>) -> ()
  "mtia.dma_in"(%v, %t) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<16x16xf16, strided<[16, 1]>, 1>, memref<16x16xf16>) -> ()
  "mtia.matmul"(%a, %t, %u) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  "mtia.dma_out"(%a, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<16x16xf16>, memref<16x16xf16, strided<[16, 1]>, 1>) -> ()
  "mtia.matmul"(%b, %b, %w) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  return
}

// Nothing goes past a wait or what the hart does in memory; a product that adds to its sums stays where it is.
// CHECK-LABEL: func.func @fences
// CHECK: "mtia.matmul"(%arg0, %arg1
// CHECK-NEXT: "mtia.wait"
// CHECK-NEXT: "mtia.matmul"(%arg1, %arg0
// CHECK: memref.store
// CHECK-NEXT: "mtia.matmul"(%arg0, %arg0
// CHECK-NEXT: "mtia.simd_unary"
// CHECK-NEXT: "mtia.matmul"(%arg1, %arg1, %arg3) {zero = false}
func.func @fences(%a: memref<16x16xf16>, %b: memref<16x16xf16>, %s: memref<16x16xf32, 2>,
                  %u: memref<16x16xf32, 2>, %w: memref<16x16xf32, 2>, %g: memref<?xf32, 1>, %p: memref<16x16xf32>) {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1.0 : f32
  "mtia.matmul"(%a, %b, %s) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  "mtia.wait"() {units = 2 : i64} : () -> ()
  "mtia.matmul"(%b, %a, %u) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  memref.store %one, %g[%c0] : memref<?xf32, 1>
  "mtia.matmul"(%a, %a, %w) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  "mtia.simd_unary"(%s, %p) {kind = "exp"} : (memref<16x16xf32, 2>, memref<16x16xf32>) -> ()
  "mtia.matmul"(%b, %b, %u) {zero = false} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
  return
}
