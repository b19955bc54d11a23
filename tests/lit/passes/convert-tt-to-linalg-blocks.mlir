// RUN: %mtiac opt --from=ttir --to=linalg %s | %filecheck %s

// A block of a tensor is one transfer; in a checked dimension, from the first to behind the last element inside.
// CHECK-LABEL: func.func @pointers
// CHECK-SAME: (%arg0: memref<?xf32, 1>, %[[M:.*]]: i64, %[[N:.*]]: i64, %[[I:.*]]: i32, %[[J:.*]]: i32
tt.func public @pointers(%p: !tt.ptr<f32>, %m: i64, %n: i64, %i: i32, %j: i32) {
  %c1 = arith.constant 1 : i64
  %c4 = arith.constant 4 : i32
  %c0 = arith.constant 0 : i32
  // CHECK-DAG: %[[NAN:.*]] = arith.constant 0x7FC00000 : f32
  // CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
  // CHECK-DAG: %[[NX:.*]] = arith.index_cast %[[N]] : i64 to index
  // CHECK-DAG: %[[MX:.*]] = arith.index_cast %[[M]] : i64 to index
  // CHECK: %[[V:.*]] = memref.reinterpret_cast %arg0 to offset: [%{{.*}}], sizes: [8, 4], strides: [%[[NX]], 1]
  // CHECK-NEXT: "mtia.dma_in"(%[[V]], %{{.*}}) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>}
  %t = tt.make_tensor_ptr %p, [%m, %n], [%n, %c1], [%i, %j] {order = array<i32: 1, 0>} : <tensor<8x4xf32>>
  %x = tt.load %t : !tt.ptr<tensor<8x4xf32>>
  // Rows are checked: columns are whole, and what is outside is 0.
  // CHECK: arith.subi %[[MX]]
  // CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %{{.*}}, %c0{{.*}}, %{{.*}}, %c4{{.*}}, %[[ZERO]])
  %y = tt.load %t {boundaryCheck = array<i32: 0>, padding = 1 : i32} : !tt.ptr<tensor<8x4xf32>>
  // Columns, four further on, with NaN outside.
  // CHECK: arith.subi %[[NX]]
  // CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %c0{{.*}}, %{{.*}}, %c8{{.*}}, %{{.*}}, %[[NAN]])
  %u = tt.advance %t, [%c0, %c4] : <tensor<8x4xf32>>
  %z = tt.load %u {boundaryCheck = array<i32: 1>, padding = 2 : i32} : !tt.ptr<tensor<8x4xf32>>
  %s = arith.addf %x, %y : tensor<8x4xf32>
  %r = arith.addf %s, %z : tensor<8x4xf32>
  // CHECK: "mtia.dma_out"(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {operandSegmentSizes = array<i32: 1, 1, 2, 2>}
  tt.store %u, %r {boundaryCheck = array<i32: 0, 1>} : !tt.ptr<tensor<8x4xf32>>
  tt.return
}

// All dimensions of a descriptor are checked; integers have no NaN to be filled with.
// CHECK-LABEL: func.func @descriptors
tt.func public @descriptors(%p: !tt.ptr<f32>, %q: !tt.ptr<i32>, %m: i32, %n: i32, %k: i64, %i: i32, %j: i32) {
  %c1 = arith.constant 1 : i64
  // CHECK-DAG: %[[NONE:.*]] = arith.constant 0 : i32
  // CHECK-DAG: %[[NAN:.*]] = arith.constant 0x7FC00000 : f32
  // CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
  // CHECK: "mtia.dma_in"({{.*}}, %[[ZERO]]) {operandSegmentSizes = array<i32: 1, 1, 2, 2, 1>}
  %d = tt.make_tensor_descriptor %p, [%m, %n], [%k, %c1] : <f32>, <tensor<8x4xf32>>
  %x = tt.descriptor_load %d[%i, %j] : !tt.tensordesc<tensor<8x4xf32>> -> tensor<8x4xf32>
  // CHECK: "mtia.dma_in"({{.*}}, %[[NAN]]) {operandSegmentSizes = array<i32: 1, 1, 2, 2, 1>}
  %e = tt.make_tensor_descriptor %p, [%m, %n], [%k, %c1] {padding = 2 : i32} : <f32>, <tensor<8x4xf32>>
  %y = tt.descriptor_load %e[%i, %j] : !tt.tensordesc<tensor<8x4xf32>> -> tensor<8x4xf32>
  // CHECK: "mtia.dma_in"({{.*}}, %[[NONE]]) {operandSegmentSizes = array<i32: 1, 1, 2, 2, 1>}
  %f = tt.make_tensor_descriptor %q, [%m, %n], [%k, %c1] {padding = 2 : i32} : <i32>, <tensor<8x4xi32>>
  %z = tt.descriptor_load %f[%i, %j] : !tt.tensordesc<tensor<8x4xi32>> -> tensor<8x4xi32>
  // CHECK: "mtia.dma_out"({{.*}}) {operandSegmentSizes = array<i32: 1, 1, 2, 2>}
  %s = arith.addf %x, %y : tensor<8x4xf32>
  tt.descriptor_store %d[%j, %i], %s : !tt.tensordesc<tensor<8x4xf32>>, tensor<8x4xf32>
  // CHECK: "mtia.dma_out"({{.*}}) {operandSegmentSizes = array<i32: 1, 1, 2, 2>}
  tt.descriptor_store %f[%i, %j], %z : !tt.tensordesc<tensor<8x4xi32>>, tensor<8x4xi32>
  tt.return
}

// Each element inside is combined with what is in memory, by the operation of its type; unsigned, for a negative
// coordinate is outside too.
// CHECK-LABEL: func.func @reductions
tt.func public @reductions(%p: !tt.ptr<f32>, %q: !tt.ptr<i32>, %n: i32, %i: i32) {
  %c1 = arith.constant 1 : i64
  %d = tt.make_tensor_descriptor %p, [%n], [%c1] : <f32>, <tensor<4xf32>>
  %e = tt.make_tensor_descriptor %q, [%n], [%c1] : <i32>, <tensor<4xi32>>
  %g = tt.make_tensor_descriptor %q, [%n], [%c1] : <i32>, <tensor<4xui32>>
  %v = arith.constant dense<2.0> : tensor<4xf32>
  %w = arith.constant dense<2> : tensor<4xi32>
  // CHECK: arith.cmpi ult
  // CHECK: memref.atomic_rmw addf
  tt.descriptor_reduce add, %d[%i], %v : !tt.tensordesc<tensor<4xf32>>, tensor<4xf32>
  // CHECK: memref.atomic_rmw minnumf
  tt.descriptor_reduce min, %d[%i], %v : !tt.tensordesc<tensor<4xf32>>, tensor<4xf32>
  // CHECK: memref.atomic_rmw maxnumf
  tt.descriptor_reduce max, %d[%i], %v : !tt.tensordesc<tensor<4xf32>>, tensor<4xf32>
  // CHECK: memref.atomic_rmw addi
  tt.descriptor_reduce add, %e[%i], %w : !tt.tensordesc<tensor<4xi32>>, tensor<4xi32>
  // CHECK: memref.atomic_rmw mins
  tt.descriptor_reduce min, %e[%i], %w : !tt.tensordesc<tensor<4xi32>>, tensor<4xi32>
  // CHECK: memref.atomic_rmw maxs
  tt.descriptor_reduce max, %e[%i], %w : !tt.tensordesc<tensor<4xi32>>, tensor<4xi32>
  // CHECK: memref.atomic_rmw andi
  tt.descriptor_reduce and, %e[%i], %w : !tt.tensordesc<tensor<4xi32>>, tensor<4xi32>
  // CHECK: memref.atomic_rmw ori
  tt.descriptor_reduce or, %e[%i], %w : !tt.tensordesc<tensor<4xi32>>, tensor<4xi32>
  // CHECK: memref.atomic_rmw minu
  tt.descriptor_reduce min, %g[%i], %w : !tt.tensordesc<tensor<4xui32>>, tensor<4xi32>
  // CHECK: memref.atomic_rmw maxu
  tt.descriptor_reduce max, %g[%i], %w : !tt.tensordesc<tensor<4xui32>>, tensor<4xi32>
  tt.return
}
