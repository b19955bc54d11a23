// RUN: %mtiac opt --pass=select-engines --target=mtia300 %s | %filecheck %s
// The accumulators are 128 KiB, of which a quarter is for products whose sums live in local memory, where there are any.

#row = affine_map<(d0, d1) -> (d0)>
#id = affine_map<(d0, d1) -> (d0, d1)>

// Two sums of 64 KiB that live at the same time have room.
// CHECK-LABEL: func.func @two(
// CHECK-COUNT-2: "mtia.matmul"({{.*}}memref<128x128xf32, 2>
func.func @two(%a: memref<128x16xf16>, %b: memref<16x128xf16>, %x: memref<128x128xf32>) {
  %zero = arith.constant 0.0 : f32
  %s = memref.alloc() : memref<128x128xf32>
  linalg.fill ins(%zero : f32) outs(%s : memref<128x128xf32>)
  linalg.matmul ins(%a, %b : memref<128x16xf16>, memref<16x128xf16>) outs(%s : memref<128x128xf32>)
  %t = memref.alloc() : memref<128x128xf32>
  linalg.fill ins(%zero : f32) outs(%t : memref<128x128xf32>)
  linalg.matmul ins(%a, %b : memref<128x16xf16>, memref<16x128xf16>) outs(%t : memref<128x128xf32>)
  memref.copy %s, %x : memref<128x128xf32> to memref<128x128xf32>
  memref.copy %t, %x : memref<128x128xf32> to memref<128x128xf32>
  return
}

// Of three only the first: 128 KiB less a quarter hold one. The others live in local memory, a fresh one's rows go
// through two stages of 32 KiB in turn.
// CHECK-LABEL: func.func @three
// CHECK: "mtia.matmul"({{.*}}memref<128x128xf32, 2>
// CHECK: %[[S:.*]] = memref.alloc() : memref<64x128xf32, 2>
// CHECK-NEXT: "mtia.matmul"(%{{.*}}, %[[S]]) {zero = true}
// CHECK-NEXT: %[[T:.*]] = memref.alloc() : memref<64x128xf32, 2>
// CHECK-NEXT: "mtia.matmul"(%{{.*}}, %[[T]]) {zero = true}
// CHECK: "mtia.re_drain"(%[[S]], %{{.*}}) : ({{.*}}, memref<64x128xf32, strided<[128, 1]>>)
// CHECK-NEXT: "mtia.re_drain"(%[[T]], %{{.*}}) : ({{.*}}, memref<64x128xf32, strided<[128, 1], offset: 8192>>)
// CHECK: "mtia.matmul"(%{{.*}}, %[[S]]) {zero = true}
// CHECK-NEXT: "mtia.matmul"(%{{.*}}, %[[T]]) {zero = true}
// CHECK-NEXT: "mtia.re_drain"(%[[S]]
// CHECK-NEXT: "mtia.re_drain"(%[[T]]
// CHECK-NOT: "mtia.matmul"({{.*}}memref<128x128xf32, 2>
func.func @three(%a: memref<128x16xf16>, %b: memref<16x128xf16>, %x: memref<128x128xf32>) {
  %zero = arith.constant 0.0 : f32
  %s = memref.alloc() : memref<128x128xf32>
  linalg.fill ins(%zero : f32) outs(%s : memref<128x128xf32>)
  linalg.matmul ins(%a, %b : memref<128x16xf16>, memref<16x128xf16>) outs(%s : memref<128x128xf32>)
  %t = memref.alloc() : memref<128x128xf32>
  linalg.fill ins(%zero : f32) outs(%t : memref<128x128xf32>)
  linalg.matmul ins(%a, %b : memref<128x16xf16>, memref<16x128xf16>) outs(%t : memref<128x128xf32>)
  %u = memref.alloc() : memref<128x128xf32>
  linalg.fill ins(%zero : f32) outs(%u : memref<128x128xf32>)
  linalg.matmul ins(%a, %b : memref<128x16xf16>, memref<16x128xf16>) outs(%u : memref<128x128xf32>)
  memref.copy %s, %x : memref<128x128xf32> to memref<128x128xf32>
  memref.copy %t, %x : memref<128x128xf32> to memref<128x128xf32>
  memref.copy %u, %x : memref<128x128xf32> to memref<128x128xf32>
  return
}

// Three that live one after the other share their bytes, and none is issued before the one before has been used: they
// would then live at the same time.
// CHECK-LABEL: func.func @in_turn
// CHECK: "mtia.matmul"({{.*}}memref<128x128xf32, 2>
// CHECK: "mtia.re_drain"
// CHECK: "mtia.matmul"({{.*}}memref<128x128xf32, 2>
// CHECK: "mtia.re_drain"
// CHECK: "mtia.matmul"({{.*}}memref<128x128xf32, 2>
// CHECK: "mtia.re_drain"
func.func @in_turn(%a: memref<128x16xf16>, %b: memref<16x128xf16>, %x: memref<128x128xf32>) {
  %zero = arith.constant 0.0 : f32
  %s = memref.alloc() : memref<128x128xf32>
  %t = memref.alloc() : memref<128x128xf32>
  %u = memref.alloc() : memref<128x128xf32>
  linalg.fill ins(%zero : f32) outs(%s : memref<128x128xf32>)
  linalg.matmul ins(%a, %b : memref<128x16xf16>, memref<16x128xf16>) outs(%s : memref<128x128xf32>)
  memref.copy %s, %x : memref<128x128xf32> to memref<128x128xf32>
  linalg.fill ins(%zero : f32) outs(%t : memref<128x128xf32>)
  linalg.matmul ins(%a, %b : memref<128x16xf16>, memref<16x128xf16>) outs(%t : memref<128x128xf32>)
  memref.copy %t, %x : memref<128x128xf32> to memref<128x128xf32>
  linalg.fill ins(%zero : f32) outs(%u : memref<128x128xf32>)
  linalg.matmul ins(%a, %b : memref<128x16xf16>, memref<16x128xf16>) outs(%u : memref<128x128xf32>)
  memref.copy %u, %x : memref<128x128xf32> to memref<128x128xf32>
  return
}

// A loop that works on its product between (16 KiB) and a sum that goes through it (64 KiB) are more than a hart's half.
// The product has a place there; half of the half is for stages of 16 KiB, the sum lives in local memory and goes
// through these by 32 rows; its old value is loaded beside the product of the part before.
// CHECK-LABEL: func.func @through_a_loop
// CHECK: scf.for
// CHECK: "mtia.matmul"(%arg0, %arg1, %{{.*}}) {zero = true} : ({{.*}}, memref<64x64xf32, 2>)
// CHECK: "mtia.simd_unary"
// CHECK: "mtia.re_load"({{.*}}, %[[S:.*]]) : ({{.*}}, memref<32x128xf32, 2>)
// CHECK: "mtia.re_load"({{.*}}, %[[T:.*]]) : ({{.*}}, memref<32x128xf32, 2>)
// CHECK: "mtia.matmul"({{.*}}, %[[S]]) {zero = false}
// CHECK: "mtia.re_drain"(%[[S]]
// CHECK: "mtia.re_load"({{.*}}, %[[S]])
// CHECK: "mtia.matmul"({{.*}}, %[[T]]) {zero = false}
// CHECK: "mtia.re_drain"(%[[T]]
func.func @through_a_loop(%a: memref<64x16xf16>, %b: memref<16x64xf16>, %x: memref<128x128xf32>, %n: index,
                          %c: memref<128x16xf16>, %d: memref<16x128xf16>, %p: memref<64x64xf16>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %s = memref.alloc() : memref<128x128xf32>
  linalg.fill ins(%zero : f32) outs(%s : memref<128x128xf32>)
  scf.for %i = %c0 to %n step %c1 {
    %t = memref.alloc() : memref<64x64xf32>
    linalg.fill ins(%zero : f32) outs(%t : memref<64x64xf32>)
    linalg.matmul ins(%a, %b : memref<64x16xf16>, memref<16x64xf16>) outs(%t : memref<64x64xf32>)
    linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%t : memref<64x64xf32>) outs(%p : memref<64x64xf16>) {
    ^bb0(%e: f32, %o: f16):
      %h = arith.truncf %e : f32 to f16
      linalg.yield %h : f16
    }
    linalg.matmul ins(%c, %d : memref<128x16xf16>, memref<16x128xf16>) outs(%s : memref<128x128xf32>)
  }
  memref.copy %s, %x : memref<128x128xf32> to memref<128x128xf32>
  return
}

// The same where what else is alive leaves no room for two harts in local memory: one hart then has all accumulators.
// CHECK-LABEL: func.func @one_hart
// CHECK: memref.alloc() : memref<128x128xf32, 2>
// CHECK: "mtia.matmul"({{.*}} : ({{.*}}, memref<64x64xf32, 2>)
// CHECK: "mtia.matmul"({{.*}} {zero = false} : ({{.*}}, memref<128x128xf32, 2>)
func.func @one_hart(%a: memref<64x16xf16>, %b: memref<16x64xf16>, %x: memref<128x128xf32>, %n: index,
                    %c: memref<128x16xf16>, %d: memref<16x128xf16>, %p: memref<64x64xf16>, %g: memref<?xf32, 1>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %w = memref.alloc() : memref<256x256xf32>
  %v = memref.reinterpret_cast %g to offset: [0], sizes: [256, 256], strides: [256, 1] : memref<?xf32, 1> to memref<256x256xf32, strided<[256, 1]>, 1>
  "mtia.dma_in"(%v, %w) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<256x256xf32, strided<[256, 1]>, 1>, memref<256x256xf32>) -> ()
  %s = memref.alloc() : memref<128x128xf32>
  linalg.fill ins(%zero : f32) outs(%s : memref<128x128xf32>)
  scf.for %i = %c0 to %n step %c1 {
    %t = memref.alloc() : memref<64x64xf32>
    linalg.fill ins(%zero : f32) outs(%t : memref<64x64xf32>)
    linalg.matmul ins(%a, %b : memref<64x16xf16>, memref<16x64xf16>) outs(%t : memref<64x64xf32>)
    linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%t : memref<64x64xf32>) outs(%p : memref<64x64xf16>) {
    ^bb0(%e: f32, %o: f16):
      %h = arith.truncf %e : f32 to f16
      linalg.yield %h : f16
    }
    linalg.matmul ins(%c, %d : memref<128x16xf16>, memref<16x128xf16>) outs(%s : memref<128x128xf32>)
  }
  memref.copy %s, %x : memref<128x128xf32> to memref<128x128xf32>
  "mtia.dma_out"(%w, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<256x256xf32>, memref<256x256xf32, strided<[256, 1]>, 1>) -> ()
  return
}

// Products of loops that follow each other share: 64 KiB in each of two loops is a hart's half, and both are kept.
// CHECK-LABEL: func.func @two_loops
// CHECK-COUNT-2: "mtia.matmul"({{.*}}memref<128x128xf32, 2>
func.func @two_loops(%a: memref<128x16xf16>, %b: memref<16x128xf16>, %x: memref<128x128xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  scf.for %i = %c0 to %n step %c1 {
    %t = memref.alloc() : memref<128x128xf32>
    linalg.fill ins(%zero : f32) outs(%t : memref<128x128xf32>)
    linalg.matmul ins(%a, %b : memref<128x16xf16>, memref<16x128xf16>) outs(%t : memref<128x128xf32>)
    memref.copy %t, %x : memref<128x128xf32> to memref<128x128xf32>
  }
  scf.for %i = %c0 to %n step %c1 {
    %t = memref.alloc() : memref<128x128xf32>
    linalg.fill ins(%zero : f32) outs(%t : memref<128x128xf32>)
    linalg.matmul ins(%a, %b : memref<128x16xf16>, memref<16x128xf16>) outs(%t : memref<128x128xf32>)
    memref.copy %t, %x : memref<128x128xf32> to memref<128x128xf32>
  }
  return
}

// What the reduction engine does not do keeps sums out of the accumulators: the hart reads one, another is filled with
// something else than 0 (or in part), a third is f16, a fourth has an element written, a fifth comes from outside.
// CHECK-LABEL: func.func @not_served
// CHECK: "mtia.re_drain"({{.*}}, memref<16x16xf32>)
// CHECK-NEXT: memref.load
// CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "cvt"} : (f32,
// CHECK-NEXT: "mtia.re_load"
// CHECK: "mtia.re_drain"({{.*}}, memref<16x16xf32>)
// CHECK: "mtia.re_drain"({{.*}}, memref<16x16xf16>)
// CHECK: "mtia.re_drain"({{.*}}, memref<16x16xf32>)
// CHECK-NEXT: memref.store
// CHECK: "mtia.re_load"(%arg4,
// CHECK: "mtia.re_drain"({{.*}}, %arg4)
func.func @not_served(%a: memref<16x16xf16>, %x: memref<16x16xf32>, %h: memref<16x16xf16>, %out: memref<1xf32>,
                      %w: memref<16x16xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %zeroh = arith.constant 0.0 : f16
  %s = memref.alloc() : memref<16x16xf32>
  linalg.fill ins(%zero : f32) outs(%s : memref<16x16xf32>)
  linalg.matmul ins(%a, %a : memref<16x16xf16>, memref<16x16xf16>) outs(%s : memref<16x16xf32>)
  %e = memref.load %s[%c0, %c0] : memref<16x16xf32>
  memref.store %e, %out[%c0] : memref<1xf32>
  %t = memref.alloc() : memref<16x16xf32>
  linalg.fill ins(%one : f32) outs(%t : memref<16x16xf32>)
  linalg.matmul ins(%a, %a : memref<16x16xf16>, memref<16x16xf16>) outs(%t : memref<16x16xf32>)
  memref.copy %t, %x : memref<16x16xf32> to memref<16x16xf32>
  %u = memref.alloc() : memref<16x16xf16>
  linalg.fill ins(%zeroh : f16) outs(%u : memref<16x16xf16>)
  linalg.matmul ins(%a, %a : memref<16x16xf16>, memref<16x16xf16>) outs(%u : memref<16x16xf16>)
  memref.copy %u, %h : memref<16x16xf16> to memref<16x16xf16>
  %v = memref.alloc() : memref<16x16xf32>
  linalg.fill ins(%zero : f32) outs(%v : memref<16x16xf32>)
  linalg.matmul ins(%a, %a : memref<16x16xf16>, memref<16x16xf16>) outs(%v : memref<16x16xf32>)
  memref.store %e, %v[%c0, %c0] : memref<16x16xf32>
  memref.copy %v, %x : memref<16x16xf32> to memref<16x16xf32>
  linalg.matmul ins(%a, %a : memref<16x16xf16>, memref<16x16xf16>) outs(%w : memref<16x16xf32>)
  return
}

// Products of a batch are a loop, also if each has one row: the matrices differ, so these rows are not one product's.
// CHECK-LABEL: func.func @batch
// CHECK: %[[FOUR:.*]] = arith.constant 4 : index
// CHECK: scf.for %[[I:.*]] = %{{.*}} to %[[FOUR]]
// CHECK: "mtia.matmul"(%{{.*}}) {zero = false} : (memref<8x16xf16{{.*}}>, memref<16x32xf16{{.*}}>, memref<8x32xf32, 2>)
// CHECK: %[[FOUR:.*]] = arith.constant 4 : index
// CHECK: scf.for %[[I:.*]] = %{{.*}} to %[[FOUR]]
// CHECK: "mtia.matmul"(%{{.*}}) {zero = false} : (memref<1x16xf16{{.*}}>, memref<16x32xf16{{.*}}>, memref<1x32xf32, 2>)
func.func @batch(%a: memref<4x8x16xf16>, %b: memref<4x16x32xf16>, %c: memref<4x8x32xf32>, %d: memref<4x1x16xf16>, %e: memref<4x1x32xf32>) {
  linalg.batch_matmul ins(%a, %b : memref<4x8x16xf16>, memref<4x16x32xf16>) outs(%c : memref<4x8x32xf32>)
  linalg.batch_matmul ins(%d, %b : memref<4x1x16xf16>, memref<4x16x32xf16>) outs(%e : memref<4x1x32xf32>)
  return
}
