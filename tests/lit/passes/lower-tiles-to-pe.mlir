// RUN: %mtiac opt --from=tiles --to=pe --target=mtia300 %s | %filecheck %s

// Every tile operation is the command of its unit, and its fields are the tile registers of its operands.
// CHECK-LABEL: func.func @commands
// CHECK: scf.for
func.func @commands(%g: memref<?xf16, 1>, %n: index, %s: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %h = arith.constant 0.0 : f16
  %v = memref.reinterpret_cast %g to offset: [%n], sizes: [64, 32], strides: [%n, 1] : memref<?xf16, 1> to memref<64x32xf16, strided<[?, 1], offset: ?>, 1>
  %a = memref.alloc() : memref<64x32xf16>
  %b = memref.alloc() : memref<32x64xf16>
  %i = memref.alloc() : memref<64xi32>
  %f = memref.alloc() : memref<64x64xf32>
  %m = memref.alloc() : memref<64x64xi1>
  %r = memref.alloc() : memref<64x1xf32>
  %acc = memref.alloc() : memref<64x64xf32, 2>
  // CHECK: "pe.dma_pre"
  "mtia.prefetch"(%v) : (memref<64x32xf16, strided<[?, 1], offset: ?>, 1>) -> ()
  // CHECK: "pe.dma_in"
  "mtia.dma_in"(%v, %a, %c0, %c0, %n, %n, %h) {operandSegmentSizes = array<i32: 1, 1, 2, 2, 1>} : (memref<64x32xf16, strided<[?, 1], offset: ?>, 1>, memref<64x32xf16>, index, index, index, index, f16) -> ()
  // CHECK: "pe.mlu_trans"
  "mtia.transpose"(%a, %b) : (memref<64x32xf16>, memref<32x64xf16>) -> ()
  // CHECK: "pe.dpe_mmz"
  "mtia.matmul"(%a, %b, %acc) {zero = true} : (memref<64x32xf16>, memref<32x64xf16>, memref<64x64xf32, 2>) -> ()
  // CHECK: "pe.dpe_mma"
  "mtia.matmul"(%a, %b, %acc) {zero = false} : (memref<64x32xf16>, memref<32x64xf16>, memref<64x64xf32, 2>) -> ()
  // CHECK: "pe.se_rmax"
  "mtia.simd_reduce"(%acc, %r) {kind = "rmax"} : (memref<64x64xf32, 2>, memref<64x1xf32>) -> ()
  // CHECK: "pe.re_scale"
  "mtia.re_scale"(%acc, %r) : (memref<64x64xf32, 2>, memref<64x1xf32>) -> ()
  // CHECK: "pe.re_drain"
  "mtia.re_drain"(%acc, %f) : (memref<64x64xf32, 2>, memref<64x64xf32>) -> ()
  // CHECK: "pe.re_load"
  "mtia.re_load"(%f, %acc) : (memref<64x64xf32>, memref<64x64xf32, 2>) -> ()
  // CHECK: "pe.re_zero"
  "mtia.re_zero"(%acc) : (memref<64x64xf32, 2>) -> ()
  // CHECK: "pe.se_mask_ge"
  "mtia.mask"(%m, %c1, %c1, %n) {predicate = "ge"} : (memref<64x64xi1>, index, index, index) -> ()
  // CHECK: "pe.se_sel"
  "mtia.simd_ternary"(%m, %f, %s, %f) {kind = "sel"} : (memref<64x64xi1>, memref<64x64xf32>, f32, memref<64x64xf32>) -> ()
  // CHECK: "pe.se_mul"
  "mtia.simd_binary"(%f, %r, %f) {kind = "mul"} : (memref<64x64xf32>, memref<64x1xf32>, memref<64x64xf32>) -> ()
  %i2 = memref.reinterpret_cast %i to offset: [0], sizes: [1, 64], strides: [64, 1] : memref<64xi32> to memref<1x64xi32, strided<[64, 1]>>
  // CHECK: "pe.se_iota"
  "mtia.iota"(%i2, %c0, %c1, %n) : (memref<1x64xi32, strided<[64, 1]>>, index, index, index) -> ()
  %g16 = memref.alloc() : memref<64x64xf16>
  // CHECK: "pe.mlu_gather"
  "mtia.gather"(%b, %i, %g16) : (memref<32x64xf16>, memref<64xi32>, memref<64x64xf16>) -> ()
  // CHECK: "pe.mlu_fill"
  "mtia.fill"(%h, %a) : (f16, memref<64x32xf16>) -> ()
  // CHECK: "pe.dma_ini"
  "mtia.dma_in_indexed"(%v, %a, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0>} : (memref<64x32xf16, strided<[?, 1], offset: ?>, 1>, memref<64x32xf16>, memref<64xi32>) -> ()
  // CHECK: "pe.mlu_copy"
  "mtia.copy"(%b, %b) : (memref<32x64xf16>, memref<32x64xf16>) -> ()
  // CHECK: "pe.dma_outi"
  "mtia.dma_out_indexed"(%a, %v, %i) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>} : (memref<64x32xf16>, memref<64x32xf16, strided<[?, 1], offset: ?>, 1>, memref<64xi32>) -> ()
  // CHECK: "pe.barrier"
  "mtia.barrier"() : () -> ()
  // CHECK-NOT: memref.alloc
  return
}
