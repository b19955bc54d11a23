// RUN: %mtiac opt --pass=single-trip %s | %filecheck %s

// Two loops over the same blocks: for data of one block there is code that loads it once.
// CHECK-LABEL: func.func @twice
func.func @twice(%x: memref<?xf32, 1>, %o: memref<?xf32, 1>, %n: index, %base: index) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %zero = arith.constant dense<0.0> : tensor<64xf32>
  // CHECK: %[[REST:.*]] = arith.subi %arg2, %c0
  // CHECK: %[[SOME:.*]] = arith.cmpi sgt, %[[REST]]
  // CHECK: %[[FEW:.*]] = arith.cmpi sle, %[[REST]], %c64
  // CHECK: %[[ONCE:.*]] = arith.andi %[[SOME]], %[[FEW]]
  // CHECK: scf.if %[[ONCE]]
  // CHECK: %[[BUFFER:.*]] = memref.alloc
  // CHECK: mtia.dma_in
  // CHECK: %[[X:.*]] = bufferization.to_tensor %[[BUFFER]]
  // CHECK: %[[SUM:.*]] = arith.addf %cst, %[[X]]
  // CHECK-NOT: mtia.dma_in
  // CHECK: arith.divf %[[X]], %[[SUM]]
  // CHECK: mtia.dma_out
  // CHECK: } else {
  // CHECK: scf.for
  // CHECK: mtia.dma_in
  // CHECK: scf.for
  // CHECK: mtia.dma_in
  // CHECK: mtia.dma_out
  // CHECK: mtia.single_trip
  %sum = scf.for %i = %c0 to %n step %c64 iter_args(%part = %zero) -> (tensor<64xf32>) {
    %at = arith.addi %base, %i : index
    %a = memref.alloc() : memref<64xf32>
    %v = memref.reinterpret_cast %x to offset: [%at], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
    %t = bufferization.to_tensor %a restrict writable : memref<64xf32> to tensor<64xf32>
    %s = arith.addf %part, %t : tensor<64xf32>
    scf.yield %s : tensor<64xf32>
  }
  scf.for %i = %c0 to %n step %c64 {
    %at = arith.addi %base, %i : index
    %a = memref.alloc() : memref<64xf32>
    %v = memref.reinterpret_cast %x to offset: [%at], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
    %t = bufferization.to_tensor %a restrict writable : memref<64xf32> to tensor<64xf32>
    %q = arith.divf %t, %sum : tensor<64xf32>
    %b = bufferization.to_buffer %q read_only : tensor<64xf32> to memref<64xf32>
    %w = memref.reinterpret_cast %o to offset: [%i], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_out"(%b, %w) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64xf32>, memref<64xf32, strided<[1], offset: ?>, 1>) -> ()
  }
  return
}

// What has been written since, or read behind other programs' writes, is loaded again.
// CHECK-LABEL: func.func @written
func.func @written(%x: memref<?xf32, 1>, %flag: memref<?xi32, 1>, %n: index, %one: i32) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  // CHECK: scf.if
  // CHECK: mtia.dma_in
  // CHECK: mtia.dma_out
  // CHECK: mtia.dma_in
  // CHECK: memref.atomic_rmw
  // CHECK: mtia.dma_in
  // CHECK: } else {
  scf.for %i = %c0 to %n step %c64 {
    %a = memref.alloc() : memref<64xf32>
    %v = memref.reinterpret_cast %x to offset: [%i], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
    %t = bufferization.to_tensor %a restrict writable : memref<64xf32> to tensor<64xf32>
    %q = arith.mulf %t, %t : tensor<64xf32>
    %b = bufferization.to_buffer %q read_only : tensor<64xf32> to memref<64xf32>
    "mtia.dma_out"(%b, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64xf32>, memref<64xf32, strided<[1], offset: ?>, 1>) -> ()
  }
  scf.for %i = %c0 to %n step %c64 {
    %a = memref.alloc() : memref<64xf32>
    %v = memref.reinterpret_cast %x to offset: [%i], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
    %t = bufferization.to_tensor %a restrict writable : memref<64xf32> to tensor<64xf32>
    %q = arith.mulf %t, %t : tensor<64xf32>
    %old = memref.atomic_rmw assign %one, %flag[%c0] : (i32, memref<?xi32, 1>) -> i32
  }
  scf.for %i = %c0 to %n step %c64 {
    %a = memref.alloc() : memref<64xf32>
    %v = memref.reinterpret_cast %x to offset: [%i], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
    %t = bufferization.to_tensor %a restrict writable : memref<64xf32> to tensor<64xf32>
    %q = arith.mulf %t, %t : tensor<64xf32>
  }
  return
}

// Nothing is gained where a loop reads what no other has read, or where the number of trips is known.
// CHECK-LABEL: func.func @not_again
func.func @not_again(%x: memref<?xf32, 1>, %y: memref<?xf32, 1>, %n: index) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c256 = arith.constant 256 : index
  // CHECK-NOT: scf.if
  scf.for %i = %c0 to %n step %c64 {
    %a = memref.alloc() : memref<64xf32>
    %v = memref.reinterpret_cast %x to offset: [%i], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
  }
  scf.for %i = %c0 to %n step %c64 {
    %a = memref.alloc() : memref<64xf32>
    %v = memref.reinterpret_cast %y to offset: [%i], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
  }
  scf.for %i = %c0 to %c256 step %c64 {
    %a = memref.alloc() : memref<64xf32>
    %v = memref.reinterpret_cast %x to offset: [%i], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
  }
  scf.for %i = %c0 to %c256 step %c64 {
    %a = memref.alloc() : memref<64xf32>
    %v = memref.reinterpret_cast %x to offset: [%i], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
  }
  return
}

// Memory behind a pointer that was loaded may be any: it is loaded each time.
// CHECK-LABEL: func.func @behind_pointers
func.func @behind_pointers(%x: memref<?xf32, 1>, %p: i64, %n: index) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %m = "mtia.memory_at"(%p) : (i64) -> memref<?xf32, 1>
  // CHECK: scf.if
  // CHECK: mtia.dma_in
  // CHECK: mtia.dma_in
  // CHECK: mtia.dma_in
  // CHECK: } else {
  scf.for %i = %c0 to %n step %c64 {
    %a = memref.alloc() : memref<64xf32>
    %v = memref.reinterpret_cast %x to offset: [%i], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
    %t = bufferization.to_tensor %a restrict writable : memref<64xf32> to tensor<64xf32>
    %b = memref.alloc() : memref<64xf32>
    %w = memref.reinterpret_cast %m to offset: [%i], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%w, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
    %s = bufferization.to_tensor %b restrict writable : memref<64xf32> to tensor<64xf32>
    %q = arith.mulf %t, %s : tensor<64xf32>
    %c = bufferization.to_buffer %q read_only : tensor<64xf32> to memref<64xf32>
    "mtia.dma_out"(%c, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64xf32>, memref<64xf32, strided<[1], offset: ?>, 1>) -> ()
  }
  scf.for %i = %c0 to %n step %c64 {
    %a = memref.alloc() : memref<64xf32>
    %v = memref.reinterpret_cast %x to offset: [%i], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1], offset: ?>, 1>, memref<64xf32>) -> ()
    %t = bufferization.to_tensor %a restrict writable : memref<64xf32> to tensor<64xf32>
    %q = arith.mulf %t, %t : tensor<64xf32>
  }
  return
}
