// RUN: %mtiac opt --pass=select-engines --target=mtia300 %s | %filecheck %s
// How matrices lie in local memory: the order of transfers, factors that are read turned, results that get a buffer.

#id = affine_map<(d0, d1) -> (d0, d1)>

// A product reads a transposed matrix where it lies: its rows are the columns.
// CHECK-LABEL: func.func @factor
// CHECK-NOT: mtia.transpose
// CHECK: %[[T:.*]] = memref.reinterpret_cast %[[B:.*]] to offset: [0], sizes: [32, 16], strides: [1, 32]
// CHECK: "mtia.matmul"(%arg0, %[[T]], %{{.*}}) {zero = true}
func.func @factor(%a: memref<16x32xf16>, %g: memref<16x32xf16, strided<[32, 1]>, 1>, %c: memref<16x16xf32, 2>) {
  %zero = arith.constant 0.0 : f32
  %b = memref.alloc() : memref<16x32xf16>
  "mtia.dma_in"(%g, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<16x32xf16, strided<[32, 1]>, 1>, memref<16x32xf16>) -> ()
  %t = memref.alloc() : memref<32x16xf16>
  linalg.transpose ins(%b : memref<16x32xf16>) outs(%t : memref<32x16xf16>) permutation = [1, 0]
  linalg.fill ins(%zero : f32) outs(%c : memref<16x16xf32, 2>)
  linalg.matmul ins(%a, %t : memref<16x32xf16>, memref<32x16xf16>) outs(%c : memref<16x16xf32, 2>)
  return
}

// Not where something else needs the transposed matrix,
// CHECK-LABEL: func.func @also_needed
// CHECK: "mtia.transpose"(%{{.*}}, %[[T:.*]]) :
// CHECK: "mtia.matmul"(%arg0, %[[T]],
func.func @also_needed(%a: memref<16x32xf16>, %g: memref<16x32xf16, strided<[32, 1]>, 1>, %c: memref<16x16xf32, 2>, %o: memref<32x16xf16>) {
  %zero = arith.constant 0.0 : f32
  %b = memref.alloc() : memref<16x32xf16>
  "mtia.dma_in"(%g, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<16x32xf16, strided<[32, 1]>, 1>, memref<16x32xf16>) -> ()
  %t = memref.alloc() : memref<32x16xf16>
  linalg.transpose ins(%b : memref<16x32xf16>) outs(%t : memref<32x16xf16>) permutation = [1, 0]
  linalg.fill ins(%zero : f32) outs(%c : memref<16x16xf32, 2>)
  linalg.matmul ins(%a, %t : memref<16x32xf16>, memref<32x16xf16>) outs(%c : memref<16x16xf32, 2>)
  memref.copy %t, %o : memref<32x16xf16> to memref<32x16xf16>
  return
}

// nor where the matrix is written again before the product reads it.
// CHECK-LABEL: func.func @written_again
// CHECK: "mtia.transpose"(%{{.*}}, %[[T:.*]]) :
// CHECK: "mtia.dma_in"
// CHECK: "mtia.matmul"(%arg0, %[[T]],
func.func @written_again(%a: memref<16x32xf16>, %g: memref<16x32xf16, strided<[32, 1]>, 1>, %c: memref<16x16xf32, 2>) {
  %zero = arith.constant 0.0 : f32
  %b = memref.alloc() : memref<16x32xf16>
  "mtia.dma_in"(%g, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<16x32xf16, strided<[32, 1]>, 1>, memref<16x32xf16>) -> ()
  %t = memref.alloc() : memref<32x16xf16>
  linalg.transpose ins(%b : memref<16x32xf16>) outs(%t : memref<32x16xf16>) permutation = [1, 0]
  "mtia.dma_in"(%g, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<16x32xf16, strided<[32, 1]>, 1>, memref<16x32xf16>) -> ()
  linalg.fill ins(%zero : f32) outs(%c : memref<16x16xf32, 2>)
  linalg.matmul ins(%a, %t : memref<16x32xf16>, memref<32x16xf16>) outs(%c : memref<16x16xf32, 2>)
  return
}

// A product's sums that are overwritten as a whole stay in the accumulators; what overwrites them gets a buffer.
// CHECK-LABEL: func.func @versions
// CHECK: %[[ACC:.*]] = memref.alloc() : memref<16x16xf32, 2>
// CHECK: "mtia.matmul"(%arg0, %arg1, %[[ACC]]) {zero = true}
// CHECK: %[[NEW:.*]] = memref.alloc() : memref<16x16xf32>
// CHECK-NOT: mtia.re_
// CHECK: "mtia.simd_unary"(%{{.*}}, %{{.*}}) {kind = "exp"} : ({{.*}}, 2>, memref<1x256xf32, strided<[256, 1]>>)
// CHECK: "mtia.simd_unary"(%{{.*}}, %{{.*}}) {kind = "log"} : (memref<1x256xf32, strided<[256, 1]>>,
func.func @versions(%a: memref<16x16xf16>, %b: memref<16x16xf16>, %y: memref<16x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %s = memref.alloc() : memref<16x16xf32>
  linalg.fill ins(%zero : f32) outs(%s : memref<16x16xf32>)
  linalg.matmul ins(%a, %b : memref<16x16xf16>, memref<16x16xf16>) outs(%s : memref<16x16xf32>)
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%s : memref<16x16xf32>) outs(%s : memref<16x16xf32>) {
  ^bb0(%e: f32, %o: f32):
    %r = math.exp %e : f32
    linalg.yield %r : f32
  }
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%s : memref<16x16xf32>) outs(%y : memref<16x16xf32>) {
  ^bb0(%e: f32, %o: f32):
    %r = math.log %e : f32
    linalg.yield %r : f32
  }
  return
}

// A tile goes to device memory in the order of its rows there too.
// CHECK-LABEL: func.func @sent
// CHECK: %[[B:.*]] = memref.alloc() : memref<16x64xf32>
// CHECK: %[[G:.*]] = memref.reinterpret_cast %arg1 to offset: [%c0{{.*}}], sizes: [16, 64], strides: [64, 1]
// CHECK: "mtia.dma_out"(%[[B]], %[[G]], %arg3, %arg2, %arg5, %arg4)
func.func @sent(%x: memref<64x16xf32>, %g: memref<?xf32, 1>, %l0: index, %l1: index, %h0: index, %h1: index) {
  %t = memref.alloc() : memref<64x16xf32>
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : memref<64x16xf32>) outs(%t : memref<64x16xf32>) {
  ^bb0(%e: f32, %o: f32):
    %r = math.exp %e : f32
    linalg.yield %r : f32
  }
  %v = memref.reinterpret_cast %g to offset: [0], sizes: [64, 16], strides: [1, 64] : memref<?xf32, 1> to memref<64x16xf32, strided<[1, 64]>, 1>
  "mtia.dma_out"(%t, %v, %l0, %l1, %h0, %h1) {operandSegmentSizes = array<i32: 1, 1, 2, 2>} : (memref<64x16xf32>, memref<64x16xf32, strided<[1, 64]>, 1>, index, index, index, index) -> ()
  return
}

// Not if the hart reads it, or if it is also loaded.
// CHECK-LABEL: func.func @not_turned
// CHECK: sizes: [64, 16], strides: [1, 64]
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}) {{.*}} : (memref<64x16xf32, strided<[1, 64]>, 1>, memref<64x16xf32>)
// CHECK: memref.load
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}) {{.*}} : (memref<64x16xf32, strided<[1, 64]>, 1>, memref<64x16xf32>)
// CHECK: "mtia.dma_out"(%{{.*}}, %{{.*}}) {{.*}} : (memref<64x16xf32>, memref<64x16xf32, strided<[1, 64]>, 1>)
func.func @not_turned(%g: memref<?xf32, 1>, %y: memref<1xf32>) {
  %c0 = arith.constant 0 : index
  %v = memref.reinterpret_cast %g to offset: [0], sizes: [64, 16], strides: [1, 64] : memref<?xf32, 1> to memref<64x16xf32, strided<[1, 64]>, 1>
  %t = memref.alloc() : memref<64x16xf32>
  "mtia.dma_in"(%v, %t) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64x16xf32, strided<[1, 64]>, 1>, memref<64x16xf32>) -> ()
  %e = memref.load %t[%c0, %c0] : memref<64x16xf32>
  memref.store %e, %y[%c0] : memref<1xf32>
  %u = memref.alloc() : memref<64x16xf32>
  "mtia.dma_in"(%v, %u) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64x16xf32, strided<[1, 64]>, 1>, memref<64x16xf32>) -> ()
  "mtia.dma_out"(%u, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64x16xf32>, memref<64x16xf32, strided<[1, 64]>, 1>) -> ()
  return
}
