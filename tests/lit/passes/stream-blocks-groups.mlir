// RUN: %mtiac opt --pass=stream-blocks --target=mtia200 %s | %filecheck %s
// What shares a loop over tiles. All blocks here are larger than local memory.

#id = affine_map<(d0) -> (d0)>
#id2 = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>

// Loads of two arguments, a sum and its store: one loop.
// CHECK-LABEL: func.func @sum
// CHECK: scf.for
// CHECK: "mtia.dma_in"
// CHECK: "mtia.dma_in"
// CHECK: linalg.generic
// CHECK: "mtia.dma_out"
// CHECK-NOT: scf.for
// CHECK: return
func.func @sum(%x: memref<?xf32, 1>, %y: memref<?xf32, 1>, %z: memref<?xf32, 1>) {
  %u = memref.reinterpret_cast %x to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  %v = memref.reinterpret_cast %y to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  %w = memref.reinterpret_cast %z to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  %a = memref.alloc() : memref<131072xf32>
  %b = memref.alloc() : memref<131072xf32>
  "mtia.dma_in"(%u, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<131072xf32, strided<[1]>, 1>, memref<131072xf32>) -> ()
  "mtia.dma_in"(%v, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<131072xf32, strided<[1]>, 1>, memref<131072xf32>) -> ()
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
      ins(%a, %b : memref<131072xf32>, memref<131072xf32>) outs(%a : memref<131072xf32>) {
  ^bb0(%e: f32, %f: f32, %o: f32):
    %r = arith.addf %e, %f : f32
    linalg.yield %r : f32
  }
  "mtia.dma_out"(%a, %w) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<131072xf32>, memref<131072xf32, strided<[1]>, 1>) -> ()
  return
}

// The same elements may be stored where they are loaded, tile by tile.
// CHECK-LABEL: func.func @in_place
// CHECK: scf.for
// CHECK: "mtia.dma_in"
// CHECK: linalg.generic
// CHECK: "mtia.dma_out"
// CHECK-NOT: scf.for
// CHECK: return
func.func @in_place(%x: memref<?xf32, 1>) {
  %u = memref.reinterpret_cast %x to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  %a = memref.alloc() : memref<131072xf32>
  "mtia.dma_in"(%u, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<131072xf32, strided<[1]>, 1>, memref<131072xf32>) -> ()
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%a : memref<131072xf32>) outs(%a : memref<131072xf32>) {
  ^bb0(%e: f32, %o: f32):
    %r = arith.addf %e, %e : f32
    linalg.yield %r : f32
  }
  "mtia.dma_out"(%a, %u) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<131072xf32>, memref<131072xf32, strided<[1]>, 1>) -> ()
  return
}

// Others not: a tile that is stored could be loaded by a later one. The value is kept in scratch memory.
// CHECK-LABEL: func.func @shifted
// CHECK-SAME: mtia.scratch = "524288"
// CHECK: scf.for
// CHECK: "mtia.dma_in"
// CHECK: "mtia.dma_in"
// CHECK: linalg.generic
// CHECK: %[[TO:.*]] = memref.reinterpret_cast %arg1
// CHECK: "mtia.dma_out"(%{{.*}}, %[[TO]])
// CHECK: "mtia.wait"() {units = 3 : i64}
// CHECK: scf.for
// CHECK: %[[FROM:.*]] = memref.reinterpret_cast %arg1
// CHECK: "mtia.dma_in"(%[[FROM]], %{{.*}}) {mtia.settled
// CHECK: %[[FIRST:.*]] = memref.reinterpret_cast %arg0
// CHECK: "mtia.dma_out"(%{{.*}}, %[[FIRST]])
// CHECK: scf.for
// CHECK: "mtia.dma_in"({{.*}}mtia.settled
// CHECK: "mtia.dma_out"
func.func @shifted(%x: memref<?xf32, 1>) {
  %u = memref.reinterpret_cast %x to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  %v = memref.reinterpret_cast %x to offset: [131072], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1], offset: 131072>, 1>
  %a = memref.alloc() : memref<131072xf32>
  %b = memref.alloc() : memref<131072xf32>
  "mtia.dma_in"(%u, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<131072xf32, strided<[1]>, 1>, memref<131072xf32>) -> ()
  "mtia.dma_in"(%v, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<131072xf32, strided<[1], offset: 131072>, 1>, memref<131072xf32>) -> ()
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
      ins(%a, %b : memref<131072xf32>, memref<131072xf32>) outs(%a : memref<131072xf32>) {
  ^bb0(%e: f32, %f: f32, %o: f32):
    %r = arith.addf %e, %f : f32
    linalg.yield %r : f32
  }
  "mtia.dma_out"(%a, %u) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<131072xf32>, memref<131072xf32, strided<[1]>, 1>) -> ()
  "mtia.dma_out"(%a, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<131072xf32>, memref<131072xf32, strided<[1], offset: 131072>, 1>) -> ()
  return
}

// Nor a value that is loaded before its memory is stored to: it is not loaded again behind that.
// CHECK-LABEL: func.func @exchange
// CHECK-SAME: mtia.scratch = "524288"
// CHECK: scf.for
// CHECK: %[[Y:.*]] = memref.reinterpret_cast %arg1
// CHECK: "mtia.dma_in"(%[[Y]]
// CHECK: %[[TO:.*]] = memref.reinterpret_cast %arg2
// CHECK: "mtia.dma_out"(%{{.*}}, %[[TO]])
// CHECK: "mtia.wait"() {units = 3 : i64}
// CHECK: scf.for
// CHECK: %[[X:.*]] = memref.reinterpret_cast %arg0
// CHECK: "mtia.dma_in"(%[[X]]
// CHECK: %[[Y:.*]] = memref.reinterpret_cast %arg1
// CHECK: "mtia.dma_out"(%{{.*}}, %[[Y]])
// CHECK: %[[FROM:.*]] = memref.reinterpret_cast %arg2
// CHECK: "mtia.dma_in"(%[[FROM]]
// CHECK: %[[X:.*]] = memref.reinterpret_cast %arg0
// CHECK: "mtia.dma_out"(%{{.*}}, %[[X]])
// CHECK-NOT: scf.for
// CHECK: return
func.func @exchange(%x: memref<?xf32, 1>, %y: memref<?xf32, 1>) {
  %u = memref.reinterpret_cast %x to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  %v = memref.reinterpret_cast %y to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  %a = memref.alloc() : memref<131072xf32>
  %b = memref.alloc() : memref<131072xf32>
  "mtia.dma_in"(%u, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<131072xf32, strided<[1]>, 1>, memref<131072xf32>) -> ()
  "mtia.dma_in"(%v, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<131072xf32, strided<[1]>, 1>, memref<131072xf32>) -> ()
  "mtia.dma_out"(%a, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<131072xf32>, memref<131072xf32, strided<[1]>, 1>) -> ()
  "mtia.dma_out"(%b, %u) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<131072xf32>, memref<131072xf32, strided<[1]>, 1>) -> ()
  return
}

// Where a sum is needed complete, its rows stay whole: they are loaded, summed, divided and stored in one loop over rows.
// CHECK-LABEL: func.func @rows
// CHECK: scf.for
// CHECK: memref.alloc() : memref<[[M:[0-9]+]]x256xf32>
// CHECK: "mtia.dma_in"
// CHECK: linalg.reduce { arith.addf } ins(%{{.*}} : memref<[[M]]x256xf32>)
// CHECK: linalg.generic
// CHECK: "mtia.dma_out"
// CHECK-NOT: scf.for
// CHECK: return
func.func @rows(%x: memref<?xf32, 1>) {
  %zero = arith.constant 0.0 : f32
  %u = memref.reinterpret_cast %x to offset: [0], sizes: [512, 256], strides: [256, 1] : memref<?xf32, 1> to memref<512x256xf32, strided<[256, 1]>, 1>
  %a = memref.alloc() : memref<512x256xf32>
  %s = memref.alloc() : memref<512xf32>
  "mtia.dma_in"(%u, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<512x256xf32, strided<[256, 1]>, 1>, memref<512x256xf32>) -> ()
  linalg.fill ins(%zero : f32) outs(%s : memref<512xf32>)
  linalg.reduce { arith.addf } ins(%a : memref<512x256xf32>) outs(%s : memref<512xf32>) dimensions = [1]
  linalg.generic {indexing_maps = [#id2, #row, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%a, %s : memref<512x256xf32>, memref<512xf32>) outs(%a : memref<512x256xf32>) {
  ^bb0(%e: f32, %f: f32, %o: f32):
    %r = arith.divf %e, %f : f32
    linalg.yield %r : f32
  }
  "mtia.dma_out"(%a, %u) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<512x256xf32>, memref<512x256xf32, strided<[256, 1]>, 1>) -> ()
  return
}
