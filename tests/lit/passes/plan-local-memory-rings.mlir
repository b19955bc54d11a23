// RUN: %mtiac opt --pass=plan-local-memory --target=mtia300 %s | %filecheck %s
// A circular buffer is listed as number, space, base, bytes of a slot, slots. A hart's part of local memory, from byte
// 8192, has 249856 bytes, its part of the accumulators 65536. Loads have 32 KiB in flight, in 2 to 8 slots.

// Loops that follow each other share a circular buffer if the smaller needs more than half of it; it has the slots of
// the one with fewer, and both loops advance it.
// CHECK-LABEL: func.func @two_loops
// CHECK-SAME: mtia_circular_buffers = [array<i64: 0, 0, 8192, 2048, 8>, array<i64: 1, 0, 24576, 8192, 4>]
// CHECK: memref.alloc() {mtia.cb = 1 : i64, mtia.offset = 0 : i64} : memref<32x64xf32>
// CHECK: "mtia.cb_next"() {cb = 1 : i64}
// CHECK: memref.alloc() {mtia.cb = 1 : i64, mtia.offset = 0 : i64} : memref<20x64xf32>
// CHECK: "mtia.cb_next"() {cb = 1 : i64}
// CHECK: memref.alloc() {mtia.cb = 0 : i64, mtia.offset = 0 : i64} : memref<8x64xf32>
// CHECK: "mtia.cb_next"() {cb = 0 : i64}
func.func @two_loops(%x: memref<?xf32, 1>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i0 = %c0 to %n step %c1 {
    %a0 = memref.alloc() : memref<32x64xf32>
    %v0 = memref.reinterpret_cast %x to offset: [0], sizes: [32, 64], strides: [64, 1] : memref<?xf32, 1> to memref<32x64xf32, strided<[64, 1]>, 1>
    "mtia.dma_in"(%v0, %a0) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<32x64xf32, strided<[64, 1]>, 1>, memref<32x64xf32>) -> ()
    "mtia.dma_out"(%a0, %v0) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<32x64xf32>, memref<32x64xf32, strided<[64, 1]>, 1>) -> ()
  }
  scf.for %i1 = %c0 to %n step %c1 {
    %a1 = memref.alloc() : memref<20x64xf32>
    %v1 = memref.reinterpret_cast %x to offset: [0], sizes: [20, 64], strides: [64, 1] : memref<?xf32, 1> to memref<20x64xf32, strided<[64, 1]>, 1>
    "mtia.dma_in"(%v1, %a1) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<20x64xf32, strided<[64, 1]>, 1>, memref<20x64xf32>) -> ()
    "mtia.dma_out"(%a1, %v1) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<20x64xf32>, memref<20x64xf32, strided<[64, 1]>, 1>) -> ()
  }
  scf.for %i2 = %c0 to %n step %c1 {
    %a2 = memref.alloc() : memref<8x64xf32>
    %v2 = memref.reinterpret_cast %x to offset: [0], sizes: [8, 64], strides: [64, 1] : memref<?xf32, 1> to memref<8x64xf32, strided<[64, 1]>, 1>
    "mtia.dma_in"(%v2, %a2) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<8x64xf32, strided<[64, 1]>, 1>, memref<8x64xf32>) -> ()
    "mtia.dma_out"(%a2, %v2) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8x64xf32>, memref<8x64xf32, strided<[64, 1]>, 1>) -> ()
  }
  return
}

// Not what lives around a loop and in it, nor what DMA fills and what it does not.
// CHECK-LABEL: func.func @around
// CHECK-SAME: mtia_circular_buffers = [array<i64: 0, 0, 8192, 8192, 4>, array<i64: 1, 0, 40960, 8192, 4>, array<i64: 2, 0, 73728, 8192, 2>]
// CHECK: memref.alloc() {mtia.cb = [[A:[01]]] : i64
// CHECK: memref.alloc() {mtia.cb = [[A]] : i64, mtia.offset = 0 : i64, mtia.slot = 1
// CHECK: memref.alloc() {mtia.cb = [[B:[01]]] : i64
// CHECK: "mtia.cb_next"() {cb = [[B]] : i64}
// CHECK: memref.alloc() {mtia.cb = 2 : i64
// CHECK: "mtia.cb_next"() {cb = 2 : i64}
// CHECK: "mtia.cb_next"() {cb = [[A]] : i64}
func.func @around(%x: memref<?xf32, 1>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %one = arith.constant 1.0 : f32
  %v = memref.reinterpret_cast %x to offset: [0], sizes: [32, 64], strides: [64, 1] : memref<?xf32, 1> to memref<32x64xf32, strided<[64, 1]>, 1>
  %a = memref.alloc() : memref<32x64xf32>
  "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<32x64xf32, strided<[64, 1]>, 1>, memref<32x64xf32>) -> ()
  scf.for %i = %c0 to %n step %c1 {
    %b = memref.alloc() : memref<32x64xf32>
    "mtia.dma_in"(%v, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<32x64xf32, strided<[64, 1]>, 1>, memref<32x64xf32>) -> ()
    "mtia.dma_out"(%b, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<32x64xf32>, memref<32x64xf32, strided<[64, 1]>, 1>) -> ()
  }
  scf.for %j = %c0 to %n step %c1 {
    %c = memref.alloc() : memref<32x64xf32>
    "mtia.fill"(%one, %c) : (f32, memref<32x64xf32>) -> ()
    "mtia.dma_out"(%c, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<32x64xf32>, memref<32x64xf32, strided<[64, 1]>, 1>) -> ()
  }
  "mtia.dma_out"(%a, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<32x64xf32>, memref<32x64xf32, strided<[64, 1]>, 1>) -> ()
  return
}

// Sums of loops that follow each other share accumulators whatever their sizes, also those of a loop between two that
// share; sums of a loop in another do not share with those around it.
// CHECK-LABEL: func.func @sums
// CHECK-SAME: array<i64: [[INNER:[0-9]+]], 1, 0, 1024, 2>
// CHECK-SAME: array<i64: [[CB:[0-9]+]], 1, 2048, 16384, 2>
// CHECK: memref.alloc() {mtia.cb = [[CB]] : i64, mtia.offset = 0 : i64} : memref<64x64xf32, 2>
// CHECK: "mtia.cb_next"() {cb = [[CB]] : i64}
// CHECK: memref.alloc() {mtia.cb = [[CB]] : i64, mtia.offset = 0 : i64} : memref<16x16xf32, 2>
// CHECK: memref.alloc() {mtia.cb = [[INNER]] : i64, mtia.offset = 0 : i64} : memref<16x16xf32, 2>
// CHECK: "mtia.cb_next"() {cb = [[INNER]] : i64}
// CHECK: "mtia.cb_next"() {cb = [[CB]] : i64}
// CHECK: memref.alloc() {mtia.cb = [[CB]] : i64, mtia.offset = 0 : i64} : memref<32x32xf32, 2>
// CHECK: "mtia.cb_next"() {cb = [[CB]] : i64}
func.func @sums(%x: memref<?xf16, 1>, %y: memref<?xf32, 1>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %v64 = memref.reinterpret_cast %x to offset: [0], sizes: [64, 64], strides: [64, 1] : memref<?xf16, 1> to memref<64x64xf16, strided<[64, 1]>, 1>
  %w64 = memref.reinterpret_cast %y to offset: [0], sizes: [64, 64], strides: [64, 1] : memref<?xf32, 1> to memref<64x64xf32, strided<[64, 1]>, 1>
  %f64 = memref.alloc() : memref<64x64xf16>
  %o64 = memref.alloc() : memref<64x64xf32>
  "mtia.dma_in"(%v64, %f64) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64x64xf16, strided<[64, 1]>, 1>, memref<64x64xf16>) -> ()
  %v16 = memref.reinterpret_cast %x to offset: [0], sizes: [16, 16], strides: [16, 1] : memref<?xf16, 1> to memref<16x16xf16, strided<[16, 1]>, 1>
  %w16 = memref.reinterpret_cast %y to offset: [0], sizes: [16, 16], strides: [16, 1] : memref<?xf32, 1> to memref<16x16xf32, strided<[16, 1]>, 1>
  %f16 = memref.alloc() : memref<16x16xf16>
  %o16 = memref.alloc() : memref<16x16xf32>
  "mtia.dma_in"(%v16, %f16) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<16x16xf16, strided<[16, 1]>, 1>, memref<16x16xf16>) -> ()
  %v32 = memref.reinterpret_cast %x to offset: [0], sizes: [32, 32], strides: [32, 1] : memref<?xf16, 1> to memref<32x32xf16, strided<[32, 1]>, 1>
  %w32 = memref.reinterpret_cast %y to offset: [0], sizes: [32, 32], strides: [32, 1] : memref<?xf32, 1> to memref<32x32xf32, strided<[32, 1]>, 1>
  %f32 = memref.alloc() : memref<32x32xf16>
  %o32 = memref.alloc() : memref<32x32xf32>
  "mtia.dma_in"(%v32, %f32) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<32x32xf16, strided<[32, 1]>, 1>, memref<32x32xf16>) -> ()
  scf.for %i = %c0 to %n step %c1 {
    %s = memref.alloc() : memref<64x64xf32, 2>
    "mtia.matmul"(%f64, %f64, %s) {zero = true} : (memref<64x64xf16>, memref<64x64xf16>, memref<64x64xf32, 2>) -> ()
    "mtia.re_drain"(%s, %o64) : (memref<64x64xf32, 2>, memref<64x64xf32>) -> ()
  }
  scf.for %j = %c0 to %n step %c1 {
    %t = memref.alloc() : memref<16x16xf32, 2>
    "mtia.matmul"(%f16, %f16, %t) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
    scf.for %k = %c0 to %n step %c1 {
      %u = memref.alloc() : memref<16x16xf32, 2>
      "mtia.matmul"(%f16, %f16, %u) {zero = true} : (memref<16x16xf16>, memref<16x16xf16>, memref<16x16xf32, 2>) -> ()
      "mtia.re_drain"(%u, %o16) : (memref<16x16xf32, 2>, memref<16x16xf32>) -> ()
    }
    "mtia.re_drain"(%t, %o16) : (memref<16x16xf32, 2>, memref<16x16xf32>) -> ()
  }
  scf.for %l = %c0 to %n step %c1 {
    %w = memref.alloc() : memref<32x32xf32, 2>
    "mtia.matmul"(%f32, %f32, %w) {zero = true} : (memref<32x32xf16>, memref<32x32xf16>, memref<32x32xf32, 2>) -> ()
    "mtia.re_drain"(%w, %o32) : (memref<32x32xf32, 2>, memref<32x32xf32>) -> ()
  }
  "mtia.dma_out"(%o64, %w64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64x64xf32>, memref<64x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%o16, %w16) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<16x16xf32>, memref<16x16xf32, strided<[16, 1]>, 1>) -> ()
  "mtia.dma_out"(%o32, %w32) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<32x32xf32>, memref<32x32xf32, strided<[32, 1]>, 1>) -> ()
  return
}

// Compiled code has 14 circular buffers: of 16 loads the three smallest lie side by side in one.
// CHECK-LABEL: func.func @many
// CHECK: memref.alloc() {mtia.cb = [[CB:[0-9]+]] : i64, mtia.offset = 0 : i64} : memref<1x16xf32>
// CHECK: memref.alloc() {mtia.cb = [[CB]] : i64, mtia.offset = 64 : i64} : memref<1x16xf32>
// CHECK: memref.alloc() {mtia.cb = [[CB]] : i64, mtia.offset = 128 : i64} : memref<1x32xf32>
// CHECK-COUNT-13: memref.alloc() {mtia.cb = {{[0-9]+}} : i64, mtia.offset = 0 : i64} : memref<1x64xf32>
// CHECK-COUNT-14: "mtia.cb_next"
// CHECK-NOT: "mtia.cb_next"
func.func @many(%x: memref<?xf32, 1>) {
  %v16 = memref.reinterpret_cast %x to offset: [0], sizes: [1, 16], strides: [16, 1] : memref<?xf32, 1> to memref<1x16xf32, strided<[16, 1]>, 1>
  %v32 = memref.reinterpret_cast %x to offset: [0], sizes: [1, 32], strides: [32, 1] : memref<?xf32, 1> to memref<1x32xf32, strided<[32, 1]>, 1>
  %v64 = memref.reinterpret_cast %x to offset: [0], sizes: [1, 64], strides: [64, 1] : memref<?xf32, 1> to memref<1x64xf32, strided<[64, 1]>, 1>
  %a0 = memref.alloc() : memref<1x16xf32>
  "mtia.dma_in"(%v16, %a0) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x16xf32, strided<[16, 1]>, 1>, memref<1x16xf32>) -> ()
  %a1 = memref.alloc() : memref<1x16xf32>
  "mtia.dma_in"(%v16, %a1) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x16xf32, strided<[16, 1]>, 1>, memref<1x16xf32>) -> ()
  %a2 = memref.alloc() : memref<1x32xf32>
  "mtia.dma_in"(%v32, %a2) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x32xf32, strided<[32, 1]>, 1>, memref<1x32xf32>) -> ()
  %a3 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a3) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a4 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a4) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a5 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a5) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a6 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a6) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a7 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a7) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a8 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a8) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a9 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a9) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a10 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a10) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a11 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a11) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a12 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a12) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a13 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a13) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a14 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a14) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  %a15 = memref.alloc() : memref<1x64xf32>
  "mtia.dma_in"(%v64, %a15) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1]>, 1>, memref<1x64xf32>) -> ()
  "mtia.dma_out"(%a0, %v16) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x16xf32>, memref<1x16xf32, strided<[16, 1]>, 1>) -> ()
  "mtia.dma_out"(%a1, %v16) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x16xf32>, memref<1x16xf32, strided<[16, 1]>, 1>) -> ()
  "mtia.dma_out"(%a2, %v32) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x32xf32>, memref<1x32xf32, strided<[32, 1]>, 1>) -> ()
  "mtia.dma_out"(%a3, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a4, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a5, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a6, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a7, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a8, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a9, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a10, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a11, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a12, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a13, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a14, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  "mtia.dma_out"(%a15, %v64) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1]>, 1>) -> ()
  return
}

// Slots are taken away until all fit.
// CHECK-LABEL: func.func @fewer_slots
// CHECK-SAME: mtia.cores = 2 : i64
// CHECK-SAME: mtia_circular_buffers = [array<i64: 0, 0, 8192, 81920, 1>, array<i64: 1, 0, 90112, 81920, 2>]
func.func @fewer_slots(%x: memref<?xf32, 1>) {
  %v = memref.reinterpret_cast %x to offset: [0], sizes: [160, 128], strides: [128, 1] : memref<?xf32, 1> to memref<160x128xf32, strided<[128, 1]>, 1>
  %a = memref.alloc() : memref<160x128xf32>
  %b = memref.alloc() : memref<160x128xf32>
  "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<160x128xf32, strided<[128, 1]>, 1>, memref<160x128xf32>) -> ()
  "mtia.dma_in"(%v, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<160x128xf32, strided<[128, 1]>, 1>, memref<160x128xf32>) -> ()
  "mtia.dma_out"(%a, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<160x128xf32>, memref<160x128xf32, strided<[128, 1]>, 1>) -> ()
  "mtia.dma_out"(%b, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<160x128xf32>, memref<160x128xf32, strided<[128, 1]>, 1>) -> ()
  return
}

// Where one slot each is too much, buffers that do not live together lie in the same bytes;
// CHECK-LABEL: func.func @same_bytes
// CHECK-SAME: mtia.cores = 2 : i64
// CHECK-SAME: mtia_circular_buffers = [array<i64: 0, 0, 8192, 131072, 1>]
// CHECK: memref.alloc() {mtia.cb = 0 : i64, mtia.offset = 0 : i64}
// CHECK: memref.alloc() {mtia.cb = 0 : i64, mtia.offset = 0 : i64}
func.func @same_bytes(%x: memref<?xf32, 1>) {
  %v = memref.reinterpret_cast %x to offset: [0], sizes: [256, 128], strides: [128, 1] : memref<?xf32, 1> to memref<256x128xf32, strided<[128, 1]>, 1>
  %a = memref.alloc() : memref<256x128xf32>
  %b = memref.alloc() : memref<256x128xf32>
  "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<256x128xf32, strided<[128, 1]>, 1>, memref<256x128xf32>) -> ()
  "mtia.dma_out"(%a, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<256x128xf32>, memref<256x128xf32, strided<[128, 1]>, 1>) -> ()
  "mtia.dma_in"(%v, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<256x128xf32, strided<[128, 1]>, 1>, memref<256x128xf32>) -> ()
  "mtia.dma_out"(%b, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<256x128xf32>, memref<256x128xf32, strided<[128, 1]>, 1>) -> ()
  return
}

// where they do, one hart has all of local memory.
// CHECK-LABEL: func.func @one_hart
// CHECK-SAME: mtia.cores = 1 : i64
// CHECK-SAME: mtia_circular_buffers = [array<i64: 0, 0, 8192, 131072, 1>, array<i64: 1, 0, 139264, 131072, 2>]
func.func @one_hart(%x: memref<?xf32, 1>) {
  %v = memref.reinterpret_cast %x to offset: [0], sizes: [256, 128], strides: [128, 1] : memref<?xf32, 1> to memref<256x128xf32, strided<[128, 1]>, 1>
  %a = memref.alloc() : memref<256x128xf32>
  %b = memref.alloc() : memref<256x128xf32>
  "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<256x128xf32, strided<[128, 1]>, 1>, memref<256x128xf32>) -> ()
  "mtia.dma_in"(%v, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<256x128xf32, strided<[128, 1]>, 1>, memref<256x128xf32>) -> ()
  "mtia.dma_out"(%a, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<256x128xf32>, memref<256x128xf32, strided<[128, 1]>, 1>) -> ()
  "mtia.dma_out"(%b, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<256x128xf32>, memref<256x128xf32, strided<[128, 1]>, 1>) -> ()
  return
}
