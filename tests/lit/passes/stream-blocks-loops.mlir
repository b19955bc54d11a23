// RUN: %mtiac opt --pass=stream-blocks --target=mtia200 %s | %filecheck %s
// Loops of the hart over large buffers are divided into tiles of a power of two: what a quarter of local memory holds,
// 98304 bytes. The hart carries its sum from tile to tile.

// One buffer of 4 bytes an element.
// CHECK-LABEL: func.func @in_place
// CHECK: "mtia.wait"
// CHECK: "mtia.wait"
// CHECK: %[[STEP:.*]] = arith.constant 16384 : index
// CHECK-NEXT: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %[[STEP]] iter_args(%[[SUM:.*]] = %cst)
// CHECK: %[[T:.*]] = memref.alloc() : memref<16384xf32>
// CHECK: "mtia.dma_in"(%{{.*}}, %[[T]]) {mtia.settled
// CHECK: %[[NEW:.*]] = scf.for %[[I:.*]] = %{{.*}} iter_args(%{{.*}} = %[[SUM]])
// CHECK: memref.load %[[T]][%[[I]]]
// CHECK: memref.store %{{.*}}, %[[T]][%[[I]]]
// CHECK: "mtia.dma_out"(%[[T]]
// CHECK: scf.yield %[[NEW]]
func.func @in_place(%x: memref<?xf32, 1>, %y: memref<?xf32, 1>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant 131072 : index
  %zero = arith.constant 0.0 : f32
  %a = memref.alloc() : memref<131072xf32>
  %v = memref.reinterpret_cast %x to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<131072xf32, strided<[1]>, 1>, memref<131072xf32>) -> ()
  %s = scf.for %i = %c0 to %n step %c1 iter_args(%t = %zero) -> (f32) {
    %e = memref.load %a[%i] : memref<131072xf32>
    %u = arith.addf %t, %e : f32
    memref.store %u, %a[%i] : memref<131072xf32>
    scf.yield %u : f32
  }
  %w = memref.reinterpret_cast %y to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  "mtia.dma_out"(%a, %w) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<131072xf32>, memref<131072xf32, strided<[1]>, 1>) -> ()
  return
}

// Two buffers.
// CHECK-LABEL: func.func @two
// CHECK: iter_args
// CHECK-DAG: memref.alloc() : memref<8192xf32>
// CHECK-DAG: memref.alloc() : memref<8192xf32>
// CHECK: iter_args
// CHECK: memref.load
func.func @two(%x: memref<?xf32, 1>, %y: memref<?xf32, 1>, %z: memref<?xf32, 1>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant 131072 : index
  %zero = arith.constant 0.0 : f32
  %a = memref.alloc() : memref<131072xf32>
  %b = memref.alloc() : memref<131072xf32>
  %v = memref.reinterpret_cast %x to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<131072xf32, strided<[1]>, 1>, memref<131072xf32>) -> ()
  %s = scf.for %i = %c0 to %n step %c1 iter_args(%t = %zero) -> (f32) {
    %e = memref.load %a[%i] : memref<131072xf32>
    %u = arith.addf %t, %e : f32
    memref.store %u, %b[%i] : memref<131072xf32>
    scf.yield %u : f32
  }
  %w = memref.reinterpret_cast %y to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  "mtia.dma_out"(%b, %w) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<131072xf32>, memref<131072xf32, strided<[1]>, 1>) -> ()
  %q = memref.reinterpret_cast %z to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  "mtia.dma_out"(%a, %q) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<131072xf32>, memref<131072xf32, strided<[1]>, 1>) -> ()
  return
}

// An element that stands still has no tile: it is loaded and stored where the value is kept.
// CHECK-LABEL: func.func @still
// CHECK: scf.for %[[I:.*]] = %c0 to %c131072 step %c1 iter_args
// CHECK: %[[AT:.*]] = memref.reinterpret_cast %arg2
// CHECK: memref.load %[[AT]][%c0
// CHECK: %[[AT:.*]] = memref.reinterpret_cast %arg2
// CHECK: memref.store %{{.*}}, %[[AT]][%c0
func.func @still(%x: memref<?xf32, 1>, %y: memref<?xf32, 1>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant 131072 : index
  %zero = arith.constant 0.0 : f32
  %a = memref.alloc() : memref<131072xf32>
  %v = memref.reinterpret_cast %x to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<131072xf32, strided<[1]>, 1>, memref<131072xf32>) -> ()
  %s = scf.for %i = %c0 to %n step %c1 iter_args(%t = %zero) -> (f32) {
    %e = memref.load %a[%c0] : memref<131072xf32>
    %u = arith.addf %t, %e : f32
    memref.store %u, %a[%c0] : memref<131072xf32>
    scf.yield %u : f32
  }
  %w = memref.reinterpret_cast %y to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  "mtia.dma_out"(%a, %w) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<131072xf32>, memref<131072xf32, strided<[1]>, 1>) -> ()
  return
}
