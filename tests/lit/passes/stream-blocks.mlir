// RUN: %mtiac opt --pass=stream-blocks --target=mtia200 %s | %filecheck %s
// A chain on one large buffer is one loop over tiles; the sum before it loads the buffer by itself, and nothing is kept.
// CHECK-LABEL: func.func @centre
// CHECK-SAME: (%[[X:.*]]: memref<?xf32, 1>, %[[OUT:.*]]: memref<?xf32, 1>, %[[N:.*]]: index)
// CHECK: scf.for %[[I:.*]] = %{{.*}} to %{{.*}} step %[[STEP:.*]] {
// CHECK: %[[T:.*]] = memref.alloc() : memref<8192xf32>
// CHECK: "mtia.dma_in"(%{{.*}}, %[[T]]
// CHECK: linalg.reduce { arith.addf } ins(%[[T]]
// CHECK: }
// CHECK: memref.load
// CHECK: scf.for %[[J:.*]] = %{{.*}} to
// CHECK: "mtia.dma_in"
// CHECK: linalg.generic
// CHECK: arith.subi %[[N]], %[[J]]
// CHECK: "mtia.dma_out"
// CHECK: }
// CHECK: return
#id = affine_map<(d0) -> (d0)>
func.func @centre(%x: memref<?xf32, 1>, %out: memref<?xf32, 1>, %n: index) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %a = memref.alloc() : memref<131072xf32>
  %s = memref.alloc() : memref<f32>
  %v = memref.reinterpret_cast %x to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  "mtia.dma_in"(%v, %a, %c0, %n) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 0>} : (memref<131072xf32, strided<[1]>, 1>, memref<131072xf32>, index, index) -> ()
  linalg.fill ins(%zero : f32) outs(%s : memref<f32>)
  linalg.reduce { arith.addf } ins(%a : memref<131072xf32>) outs(%s : memref<f32>) dimensions = [0]
  %t = memref.load %s[] : memref<f32>
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : memref<131072xf32>) outs(%a : memref<131072xf32>) {
  ^bb0(%e: f32, %o: f32):
    %d = arith.subf %e, %t : f32
    linalg.yield %d : f32
  }
  %w = memref.reinterpret_cast %out to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  "mtia.dma_out"(%a, %w, %c0, %n) {operandSegmentSizes = array<i32: 1, 1, 1, 1>} : (memref<131072xf32>, memref<131072xf32, strided<[1]>, 1>, index, index) -> ()
  return
}

// What a loop carries goes to scratch memory, an argument that the launcher adds: each hart has its part.
// CHECK-LABEL: func.func @carried
// CHECK-SAME: (%{{.*}}: memref<?xf32, 1>, %{{.*}}: index, %[[SCRATCH:.*]]: memref<?xf32, 1>)
// CHECK-SAME: mtia.scratch = "524288"
// CHECK: %[[H:.*]] = "mtia.hart_number"
// CHECK: scf.for
// CHECK: arith.muli %[[H]], %{{.*}}
// CHECK: memref.reinterpret_cast %[[SCRATCH]]
// CHECK: "mtia.dma_out"
// CHECK: "mtia.wait"() {units = 3 : i64}
// CHECK: scf.for
// CHECK: "mtia.dma_in"{{.*}}mtia.settled
// CHECK: linalg.generic
// CHECK: "mtia.dma_out"
func.func @carried(%x: memref<?xf32, 1>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %a = memref.alloc() : memref<131072xf32>
  linalg.fill ins(%zero : f32) outs(%a : memref<131072xf32>)
  scf.for %i = %c0 to %n step %c1 {
    linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : memref<131072xf32>) outs(%a : memref<131072xf32>) {
    ^bb0(%e: f32, %o: f32):
      %d = arith.addf %e, %e : f32
      linalg.yield %d : f32
    }
  }
  %w = memref.reinterpret_cast %x to offset: [0], sizes: [131072], strides: [1] : memref<?xf32, 1> to memref<131072xf32, strided<[1]>, 1>
  "mtia.dma_out"(%a, %w) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<131072xf32>, memref<131072xf32, strided<[1]>, 1>) -> ()
  return
}
