// RUN: %mtiac opt --pass=bufferize %s | %filecheck %s

#id = affine_map<(d0) -> (d0)>

// The loop's sum is updated in its own buffer; the old maximum is read after the new one is known, so that one is copied.
// CHECK-LABEL: func.func @carried
func.func @carried(%p: memref<?xf32, 1>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %cst = arith.constant 0.000000e+00 : f32
  %e = tensor.empty() : tensor<8xf32>
  %e2 = tensor.empty() : tensor<8xf32>
  // CHECK: linalg.fill {{.*}} outs(%[[SUM:.*]] : memref<8xf32>)
  %zero = linalg.fill ins(%cst : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  // CHECK: linalg.fill {{.*}} outs(%[[MAX:.*]] : memref<8xf32>)
  %low = linalg.fill ins(%cst : f32) outs(%e2 : tensor<8xf32>) -> tensor<8xf32>
  // CHECK: scf.for
  // CHECK-NOT: iter_args
  %r:2 = scf.for %i = %c0 to %n step %c1 iter_args(%sum = %zero, %max = %low) -> (tensor<8xf32>, tensor<8xf32>) {
    // CHECK: %[[IN:.*]] = memref.alloc() : memref<8xf32>
    // CHECK: "mtia.dma_in"
    %b = memref.alloc() : memref<8xf32>
    %v = memref.reinterpret_cast %p to offset: [%i], sizes: [8], strides: [1] : memref<?xf32, 1> to memref<8xf32, strided<[1], offset: ?>, 1>
    "mtia.dma_in"(%v, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<8xf32, strided<[1], offset: ?>, 1>, memref<8xf32>) -> ()
    %x = bufferization.to_tensor %b restrict writable : memref<8xf32> to tensor<8xf32>
    // CHECK: linalg.generic {{.*}} ins(%[[MAX]], %[[IN]] : {{.*}}) outs(%[[NEW:.*]] : memref<8xf32>)
    %e3 = tensor.empty() : tensor<8xf32>
    %new = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%max, %x : tensor<8xf32>, tensor<8xf32>) outs(%e3 : tensor<8xf32>) {
    ^bb0(%a: f32, %c: f32, %o: f32):
      %m = arith.maxnumf %a, %c : f32
      linalg.yield %m : f32
    } -> tensor<8xf32>
    // CHECK: linalg.generic {{.*}} outs(%[[SUM]] : memref<8xf32>)
    %e4 = tensor.empty() : tensor<8xf32>
    %more = linalg.generic {indexing_maps = [#id, #id, #id, #id], iterator_types = ["parallel"]} ins(%sum, %max, %new : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) outs(%e4 : tensor<8xf32>) {
    ^bb0(%a: f32, %c: f32, %d: f32, %o: f32):
      %s = arith.subf %c, %d : f32
      %t = arith.addf %a, %s : f32
      linalg.yield %t : f32
    } -> tensor<8xf32>
    // CHECK: linalg.copy ins(%[[NEW]] : memref<8xf32>) outs(%[[MAX]] : memref<8xf32>)
    scf.yield %more, %new : tensor<8xf32>, tensor<8xf32>
  }
  // CHECK-NOT: memref.copy
  // CHECK: "mtia.dma_out"(%[[SUM]]
  %o = bufferization.to_buffer %r#0 read_only : tensor<8xf32> to memref<8xf32>
  %w = memref.reinterpret_cast %p to offset: [0], sizes: [8], strides: [1] : memref<?xf32, 1> to memref<8xf32, strided<[1]>, 1>
  "mtia.dma_out"(%o, %w) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xf32>, memref<8xf32, strided<[1]>, 1>) -> ()
  return
}

// A loaded tensor that is stored later is not written over, though the store names its buffer and not the tensor.
// CHECK-LABEL: func.func @stored_later
func.func @stored_later(%p: memref<?xf32, 1>) {
  // CHECK: %[[IN:.*]] = memref.alloc() : memref<8xf32>
  %b = memref.alloc() : memref<8xf32>
  %v = memref.reinterpret_cast %p to offset: [0], sizes: [8], strides: [1] : memref<?xf32, 1> to memref<8xf32, strided<[1]>, 1>
  "mtia.dma_in"(%v, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<8xf32, strided<[1]>, 1>, memref<8xf32>) -> ()
  %x = bufferization.to_tensor %b restrict writable : memref<8xf32> to tensor<8xf32>
  %e = tensor.empty() : tensor<8xf32>
  // CHECK: %[[TWICE:.*]] = memref.alloc() : memref<8xf32>
  // CHECK: linalg.generic {{.*}} ins(%[[IN]] : memref<8xf32>) outs(%[[TWICE]] : memref<8xf32>)
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = arith.addf %a, %a : f32
    linalg.yield %t : f32
  } -> tensor<8xf32>
  // CHECK: "mtia.dma_out"(%[[IN]]
  // CHECK: "mtia.dma_out"(%[[TWICE]]
  "mtia.dma_out"(%b, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xf32>, memref<8xf32, strided<[1]>, 1>) -> ()
  %w = bufferization.to_buffer %y read_only : tensor<8xf32> to memref<8xf32>
  "mtia.dma_out"(%w, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xf32>, memref<8xf32, strided<[1]>, 1>) -> ()
  return
}

// An inner loop that begins with the outer loop's tensor and still reads it works on a copy, which is copied back.
// CHECK-LABEL: func.func @read_beside
func.func @read_beside(%start: tensor<8xi32>, %n: index, %p: memref<8xi32, 1>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // CHECK: scf.for
  // CHECK-NOT: iter_args
  // CHECK: %[[INNER:.*]] = memref.alloc() : memref<8xi32>
  // CHECK: memref.copy %[[OUTER:.*]], %[[INNER]]
  // CHECK: scf.for
  // CHECK-NOT: iter_args
  // CHECK: linalg.generic {{.*}} ins(%[[OUTER]] : memref<8xi32>) outs(%[[INNER]] : memref<8xi32>)
  // CHECK: linalg.copy ins(%[[INNER]] : memref<8xi32>) outs(%[[OUTER]] : memref<8xi32>)
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%old = %start) -> (tensor<8xi32>) {
    %s = scf.for %j = %c0 to %n step %c1 iter_args(%x = %old) -> (tensor<8xi32>) {
      %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%old : tensor<8xi32>) outs(%x : tensor<8xi32>) {
      ^bb0(%a: i32, %o: i32):
        %t = arith.addi %a, %o : i32
        linalg.yield %t : i32
      } -> tensor<8xi32>
      scf.yield %y : tensor<8xi32>
    }
    scf.yield %s : tensor<8xi32>
  }
  %o = bufferization.to_buffer %r read_only : tensor<8xi32> to memref<8xi32>
  "mtia.dma_out"(%o, %p) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xi32>, memref<8xi32, 1>) -> ()
  return
}
