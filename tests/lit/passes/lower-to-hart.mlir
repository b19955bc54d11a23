// RUN: %mtiac opt --pass=lower-to-hart %s | %filecheck %s

#id = affine_map<(d0) -> (d0)>

// CHECK-LABEL: func.func @copy_in_double_and_out
func.func @copy_in_double_and_out(%x: memref<64xf32, 1>, %o: memref<64xf32, 1>, %lo: index, %hi: index) {
  %two = arith.constant 2.0 : f32
  %one = arith.constant 1.0 : f32
  %a = memref.alloc() : memref<64xf32>
  // What lies outside the valid range is filled, then the range is copied.
  // CHECK: scf.for
  // CHECK: memref.store %{{.*}} : memref<64xf32>
  // CHECK: %[[LOW:.*]] = arith.maxsi
  // CHECK: %[[HIGH:.*]] = arith.minsi
  // CHECK: scf.for %[[I:.*]] = %[[LOW]] to %[[HIGH]]
  // CHECK: %[[V:.*]] = memref.load %arg0[%[[I]]] : memref<64xf32, 1>
  // CHECK: memref.store %[[V]], %{{.*}}[%[[I]]] : memref<64xf32>
  "mtia.dma_in"(%x, %a, %lo, %hi, %one) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1>} : (memref<64xf32, 1>, memref<64xf32>, index, index, f32) -> ()
  // CHECK: scf.for
  // CHECK: arith.mulf
  linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]} outs(%a : memref<64xf32>) {
  ^bb0(%v: f32):
    %w = arith.mulf %v, %two : f32
    linalg.yield %w : f32
  }
  // CHECK: scf.for
  // CHECK: memref.store %{{.*}}, %arg1[%{{.*}}] : memref<64xf32, 1>
  "mtia.dma_out"(%a, %o, %lo, %hi) {operandSegmentSizes = array<i32: 1, 1, 1, 1>} : (memref<64xf32>, memref<64xf32, 1>, index, index) -> ()
  return
}

// CHECK-LABEL: func.func @gather
func.func @gather(%x: memref<100x8xf16, 1>, %index: memref<4xi32>, %a: memref<4x8xf16>) {
  // CHECK: scf.for %[[R:.*]] =
  // CHECK: scf.for %[[C:.*]] =
  // CHECK: %[[N:.*]] = memref.load %arg1[%[[R]]] : memref<4xi32>
  // CHECK: %[[ROW:.*]] = arith.index_cast %[[N]] : i32 to index
  // CHECK: memref.load %arg0[%[[ROW]], %[[C]]] : memref<100x8xf16, 1>
  "mtia.dma_in_indexed"(%x, %a, %index) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0>} : (memref<100x8xf16, 1>, memref<4x8xf16>, memref<4xi32>) -> ()
  // CHECK-NOT: mtia.
  return
}

// CHECK-LABEL: func.func @places
func.func @places(%a: memref<256xi32>, %wide: memref<256xi64>) {
  // Places that are only wanted in 32 bits are computed in 32 bits: 64 of them fit into four registers.
  // CHECK: scf.for %[[I:.*]] =
  // CHECK: %[[PLACE:.*]] = arith.index_cast %[[I]] : index to i32
  // CHECK: %[[BASE:.*]] = vector.broadcast %[[PLACE]] : i32 to vector<64xi32>
  // CHECK: %[[STEPS:.*]] = arith.index_cast %{{.*}} : vector<64xindex> to vector<64xi32>
  // CHECK: %[[SUM:.*]] = arith.addi %[[BASE]], %[[STEPS]] : vector<64xi32>
  // CHECK: vector.store %[[SUM]], %arg0
  linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]} outs(%a : memref<256xi32>) {
  ^bb0(%v: i32):
    %i = linalg.index 0 : index
    %n = arith.index_cast %i : index to i32
    linalg.yield %n : i32
  }
  // CHECK: vector<32xindex> to vector<32xi64>
  linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]} outs(%wide : memref<256xi64>) {
  ^bb0(%v: i64):
    %i = linalg.index 0 : index
    %n = arith.index_cast %i : index to i64
    linalg.yield %n : i64
  }
  return
}
