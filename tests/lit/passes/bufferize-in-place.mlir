// RUN: %mtiac opt --pass=bufferize %s | %filecheck %s
// What a loop carries is updated in its own buffer, without a copy, where nothing reads the old value any more.

#id = affine_map<(d0) -> (d0)>

// A product that adds to what is carried.
// CHECK-LABEL: func.func @product
// CHECK: linalg.fill {{.*}} outs(%[[SUM:.*]] : memref<8x8xf32>)
// CHECK: scf.for
// CHECK-NEXT: linalg.matmul {{.*}} outs(%[[SUM]] : memref<8x8xf32>)
// CHECK-NEXT: }
// CHECK-NOT: copy
// CHECK: "mtia.dma_out"(%[[SUM]]
func.func @product(%a: tensor<8x8xf32>, %n: index, %p: memref<8x8xf32, 1>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %cst = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8x8xf32>
  %z = linalg.fill ins(%cst : f32) outs(%e : tensor<8x8xf32>) -> tensor<8x8xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%s = %z) -> (tensor<8x8xf32>) {
    %t = linalg.matmul ins(%a, %a : tensor<8x8xf32>, tensor<8x8xf32>) outs(%s : tensor<8x8xf32>) -> tensor<8x8xf32>
    scf.yield %t : tensor<8x8xf32>
  }
  %o = bufferization.to_buffer %r read_only : tensor<8x8xf32> to memref<8x8xf32>
  "mtia.dma_out"(%o, %p) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8x8xf32>, memref<8x8xf32, 1>) -> ()
  return
}

// A part that is replaced, and an inner loop that goes on with it.
// CHECK-LABEL: func.func @nested
// CHECK: linalg.fill {{.*}} outs(%[[SUM:.*]] : memref<8xf32>)
// CHECK: scf.for
// CHECK-NEXT: scf.for
// CHECK-NEXT: linalg.generic {{.*}} ins(%[[SUM]] : memref<8xf32>) outs(%[[SUM]] : memref<8xf32>)
// CHECK-NOT: copy
// CHECK: "mtia.dma_out"(%[[SUM]]
func.func @nested(%n: index, %p: memref<8xf32, 1>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %cst = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8xf32>
  %z = linalg.fill ins(%cst : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%s = %z) -> (tensor<8xf32>) {
    %q = scf.for %j = %c0 to %n step %c1 iter_args(%t = %s) -> (tensor<8xf32>) {
      %f = tensor.empty() : tensor<8xf32>
      %u = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%t : tensor<8xf32>) outs(%f : tensor<8xf32>) {
      ^bb0(%x: f32, %y: f32):
        %w = arith.addf %x, %x : f32
        linalg.yield %w : f32
      } -> tensor<8xf32>
      scf.yield %u : tensor<8xf32>
    }
    scf.yield %q : tensor<8xf32>
  }
  %o = bufferization.to_buffer %r read_only : tensor<8xf32> to memref<8xf32>
  "mtia.dma_out"(%o, %p) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xf32>, memref<8xf32, 1>) -> ()
  return
}

// Carried values that change places are saved first, each once.
// CHECK-LABEL: func.func @swapped
// CHECK: scf.for
// CHECK: linalg.copy ins(%[[A:.*]] : memref<8xf32>) outs(%[[SAVED_A:.*]] : memref<8xf32>)
// CHECK: linalg.copy ins(%[[B:.*]] : memref<8xf32>) outs(%[[SAVED_B:.*]] : memref<8xf32>)
// CHECK-DAG: linalg.copy ins(%[[SAVED_A]] : memref<8xf32>) outs(%[[B]] : memref<8xf32>)
// CHECK-DAG: linalg.copy ins(%[[SAVED_B]] : memref<8xf32>) outs(%[[A]] : memref<8xf32>)
// CHECK-NOT: linalg.copy
// CHECK: return
func.func @swapped(%n: index, %p: memref<8xf32, 1>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %e = tensor.empty() : tensor<8xf32>
  %f = tensor.empty() : tensor<8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  %y = linalg.fill ins(%one : f32) outs(%f : tensor<8xf32>) -> tensor<8xf32>
  %r:2 = scf.for %i = %c0 to %n step %c1 iter_args(%a = %z, %b = %y) -> (tensor<8xf32>, tensor<8xf32>) {
    scf.yield %b, %a : tensor<8xf32>, tensor<8xf32>
  }
  %o = bufferization.to_buffer %r#0 read_only : tensor<8xf32> to memref<8xf32>
  "mtia.dma_out"(%o, %p) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xf32>, memref<8xf32, 1>) -> ()
  return
}

// A value that a later operation of the turn still reads is not written over.
// CHECK-LABEL: func.func @read_later
// CHECK: scf.for
// CHECK: linalg.generic {{.*}} ins(%[[OLD:.*]] : memref<8xf32>) outs(%[[NEW:.*]] : memref<8xf32>)
// CHECK: linalg.generic {{.*}} ins(%[[OLD]], %[[NEW]] : {{.*}})
// CHECK: linalg.copy ins(%[[NEW]] : memref<8xf32>) outs(%[[OLD]] : memref<8xf32>)
func.func @read_later(%n: index, %p: memref<8xf32, 1>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %z) -> (tensor<8xf32>) {
    %f = tensor.empty() : tensor<8xf32>
    %new = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<8xf32>) outs(%f : tensor<8xf32>) {
    ^bb0(%x: f32, %y: f32):
      %w = arith.addf %x, %x : f32
      linalg.yield %w : f32
    } -> tensor<8xf32>
    %g = tensor.empty() : tensor<8xf32>
    %sum = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%a, %new : tensor<8xf32>, tensor<8xf32>) outs(%g : tensor<8xf32>) {
    ^bb0(%x: f32, %y: f32, %v: f32):
      %w = arith.addf %x, %y : f32
      linalg.yield %w : f32
    } -> tensor<8xf32>
    %o = bufferization.to_buffer %sum read_only : tensor<8xf32> to memref<8xf32>
    "mtia.dma_out"(%o, %p) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xf32>, memref<8xf32, 1>) -> ()
    scf.yield %new : tensor<8xf32>
  }
  %q = bufferization.to_buffer %r read_only : tensor<8xf32> to memref<8xf32>
  "mtia.dma_out"(%q, %p) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xf32>, memref<8xf32, 1>) -> ()
  return
}

// Nor by an operation that reads its elements in another order.
// CHECK-LABEL: func.func @reversed
// CHECK: scf.for
// CHECK: linalg.generic {{.*}} ins(%[[OLD:.*]] : memref<8xf32>) outs(%[[NEW:.*]] : memref<8xf32>)
// CHECK: linalg.copy ins(%[[NEW]] : memref<8xf32>) outs(%[[OLD]] : memref<8xf32>)
func.func @reversed(%n: index, %p: memref<8xf32, 1>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %z) -> (tensor<8xf32>) {
    %f = tensor.empty() : tensor<8xf32>
    %new = linalg.generic {indexing_maps = [affine_map<(d0) -> (7 - d0)>, #id], iterator_types = ["parallel"]} ins(%a : tensor<8xf32>) outs(%f : tensor<8xf32>) {
    ^bb0(%x: f32, %y: f32):
      linalg.yield %x : f32
    } -> tensor<8xf32>
    scf.yield %new : tensor<8xf32>
  }
  %q = bufferization.to_buffer %r read_only : tensor<8xf32> to memref<8xf32>
  "mtia.dma_out"(%q, %p) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xf32>, memref<8xf32, 1>) -> ()
  return
}

// An elementwise operation writes over an operand that nothing reads afterwards, if that was made in the same block and
// has the same type.
// CHECK-LABEL: func.func @overwrites
// CHECK: linalg.generic {{.*}} ins(%{{.*}}) outs(%[[A:.*]] : memref<8xf32>)
// CHECK: linalg.generic {{.*}} ins(%[[A]] : memref<8xf32>) outs(%[[A]] : memref<8xf32>)
// CHECK: linalg.generic {{.*}} ins(%[[A]] : memref<8xf32>) outs(%[[B:.*]] : memref<8xf16>)
// CHECK: "mtia.dma_out"(%[[B]]
func.func @overwrites(%x: tensor<8xf32>, %p: memref<8xf16, 1>) {
  %e = tensor.empty() : tensor<8xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%k: f32, %o: f32):
    %w = arith.addf %k, %k : f32
    linalg.yield %w : f32
  } -> tensor<8xf32>
  %f = tensor.empty() : tensor<8xf32>
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<8xf32>) outs(%f : tensor<8xf32>) {
  ^bb0(%k: f32, %o: f32):
    %w = math.exp %k : f32
    linalg.yield %w : f32
  } -> tensor<8xf32>
  %g = tensor.empty() : tensor<8xf16>
  %c = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%b : tensor<8xf32>) outs(%g : tensor<8xf16>) {
  ^bb0(%k: f32, %o: f16):
    %w = arith.truncf %k : f32 to f16
    linalg.yield %w : f16
  } -> tensor<8xf16>
  %q = bufferization.to_buffer %c read_only : tensor<8xf16> to memref<8xf16>
  "mtia.dma_out"(%q, %p) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xf16>, memref<8xf16, 1>) -> ()
  return
}

// Not over one that is read again, or that was made outside of the loop.
// CHECK-LABEL: func.func @keeps
// CHECK: linalg.generic {{.*}} ins(%{{.*}}) outs(%[[A:.*]] : memref<8xf32>)
// CHECK: scf.for
// CHECK: linalg.generic {{.*}} ins(%[[A]] : memref<8xf32>) outs(%[[B:.*]] : memref<8xf32>)
// CHECK: "mtia.dma_out"(%[[B]]
// CHECK: "mtia.dma_out"(%[[A]]
func.func @keeps(%x: tensor<8xf32>, %n: index, %p: memref<8xf32, 1>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %e = tensor.empty() : tensor<8xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%k: f32, %o: f32):
    %w = arith.addf %k, %k : f32
    linalg.yield %w : f32
  } -> tensor<8xf32>
  scf.for %i = %c0 to %n step %c1 {
    %f = tensor.empty() : tensor<8xf32>
    %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<8xf32>) outs(%f : tensor<8xf32>) {
    ^bb0(%k: f32, %o: f32):
      %w = math.exp %k : f32
      linalg.yield %w : f32
    } -> tensor<8xf32>
    %q = bufferization.to_buffer %b read_only : tensor<8xf32> to memref<8xf32>
    "mtia.dma_out"(%q, %p) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xf32>, memref<8xf32, 1>) -> ()
  }
  %r = bufferization.to_buffer %a read_only : tensor<8xf32> to memref<8xf32>
  "mtia.dma_out"(%r, %p) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<8xf32>, memref<8xf32, 1>) -> ()
  return
}
