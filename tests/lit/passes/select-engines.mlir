// RUN: %mtiac opt --pass=select-engines --target=mtia300 %s | %filecheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>

// One command per body operation; conversions happen as commands read and write.
// CHECK-LABEL: func.func @elementwise
func.func @elementwise(%x: memref<4x64xf16>, %r: memref<4xf32>, %y: memref<4x64xf16>) {
  // CHECK: %[[R:.*]] = memref.reinterpret_cast %arg1 to offset: [0], sizes: [4, 64], strides: [1, 0]
  // CHECK-NOT: linalg
  // CHECK: "mtia.simd_binary"(%arg0, %[[R]], %[[T:.*]]) {kind = "sub"}
  // CHECK: "mtia.simd_unary"(%[[T]], %arg2) {kind = "exp"} : (memref<4x64xf32>, memref<4x64xf16>) -> ()
  linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %r : memref<4x64xf16>, memref<4xf32>) outs(%y : memref<4x64xf16>) {
  ^bb0(%a: f16, %b: f32, %o: f16):
    %e = arith.extf %a : f16 to f32
    %s = arith.subf %e, %b : f32
    %p = math.exp %s : f32
    %t = arith.truncf %p : f32 to f16
    linalg.yield %t : f16
  }
  return
}

// Comparisons of indices become affine predicates.
// CHECK-LABEL: func.func @causal
func.func @causal(%x: memref<64x64xf32>, %m0: index, %n0: index) {
  %ninf = arith.constant 0xFF800000 : f32
  // CHECK-DAG: %[[K:.*]] = arith.subi %arg1, %arg2 : index
  // CHECK-DAG: %[[A:.*]] = arith.constant 1 : index
  // CHECK-DAG: %[[B:.*]] = arith.constant -1 : index
  // CHECK: "mtia.mask"(%[[M:.*]], %[[A]], %[[B]], %[[K]]) {predicate = "ge"}
  // CHECK: "mtia.simd_ternary"(%[[M]], %arg0, %{{.*}}, %arg0) {kind = "sel"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x64xf32>) outs(%x : memref<64x64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = linalg.index 0 : index
    %c = linalg.index 1 : index
    %rr = arith.addi %r, %m0 : index
    %cc = arith.addi %c, %n0 : index
    %p = arith.cmpi sge, %rr, %cc : index
    %s = arith.select %p, %a, %ninf : f32
    linalg.yield %s : f32
  }
  return
}

// A reduction overwrites its freshly filled result; another initial value costs a second command.
// CHECK-LABEL: func.func @reduce
func.func @reduce(%x: memref<4x64xf32>, %r: memref<4xf32>, %c: memref<64xf32>) {
  %zero = arith.constant 0.0 : f32
  // CHECK-NOT: cvt
  // CHECK: "mtia.simd_reduce"(%arg0, %{{.*}}) {kind = "rsum"} : (memref<4x64xf32>, memref<4x1xf32, strided<[1, 1]>>)
  linalg.fill ins(%zero : f32) outs(%r : memref<4xf32>)
  linalg.reduce { arith.addf } ins(%x : memref<4x64xf32>) outs(%r : memref<4xf32>) dimensions = [1]
  // CHECK: "mtia.simd_reduce"(%arg0, %[[P:.*]]) {kind = "cmax"} : (memref<4x64xf32>, memref<1x64xf32>)
  // CHECK: "mtia.simd_binary"(%[[P]], %[[C:.*]], %[[C]]) {kind = "max"}
  linalg.reduce { arith.maximumf } ins(%x : memref<4x64xf32>) outs(%c : memref<64xf32>) dimensions = [0]
  // The number forms leave NaN out, and give NaN where there is nothing else; -∞ is another initial value.
  // CHECK-NOT: simd_binary
  // CHECK: "mtia.simd_reduce"(%arg0, %{{.*}}) {kind = "rmaxn"}
  // CHECK-NOT: simd_binary
  // CHECK: "mtia.simd_reduce"(%arg0, %{{.*}}) {kind = "rmaxn"}
  // CHECK: {kind = "maxn"}
  %nan = arith.constant 0x7FC00000 : f32
  linalg.fill ins(%nan : f32) outs(%r : memref<4xf32>)
  linalg.reduce { arith.maxnumf } ins(%x : memref<4x64xf32>) outs(%r : memref<4xf32>) dimensions = [1]
  %low = arith.constant 0xFF800000 : f32
  linalg.fill ins(%low : f32) outs(%r : memref<4xf32>)
  linalg.reduce { arith.maxnumf } ins(%x : memref<4x64xf32>) outs(%r : memref<4xf32>) dimensions = [1]
  return
}

// A scalar that a reduction left in local memory is used from there: the hart does not wait for it.
// CHECK-LABEL: func.func @scalar
func.func @scalar(%x: memref<64xf32>, %g: memref<?xf32, 1>, %n: f32) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  // CHECK-NOT: memref.load
  %r = memref.alloc() : memref<f32>
  linalg.fill ins(%zero : f32) outs(%r : memref<f32>)
  // CHECK: "mtia.simd_reduce"
  linalg.reduce { arith.addf } ins(%x : memref<64xf32>) outs(%r : memref<f32>) dimensions = [0]
  %s = memref.load %r[] : memref<f32>
  // CHECK: "mtia.simd_binary"(%{{.*}}, %arg2, %[[M:.*]]) {kind = "div"} : (memref<1x1xf32, strided<[0, 0]>>, f32, memref<1x1xf32>)
  %m = arith.divf %s, %n : f32
  // CHECK: "mtia.dma_out"(%[[M]], %{{.*}})
  memref.store %m, %g[%c0] : memref<?xf32, 1>
  return
}

// A product accumulates in the reduction engine, is scaled there by rows, and is read there by the SIMD engine.
// CHECK-LABEL: func.func @product
func.func @product(%a: memref<64x32xf16>, %b: memref<32x64xf16>, %s: memref<64xf32>, %y: memref<64x64xf16>) {
  %zero = arith.constant 0.0 : f32
  // CHECK: %[[ACC:.*]] = memref.alloc() : memref<64x64xf32, 2>
  %acc = memref.alloc() : memref<64x64xf32>
  linalg.fill ins(%zero : f32) outs(%acc : memref<64x64xf32>)
  // CHECK: "mtia.matmul"(%arg0, %arg1, %[[ACC]]) {zero = true}
  linalg.matmul ins(%a, %b : memref<64x32xf16>, memref<32x64xf16>) outs(%acc : memref<64x64xf32>)
  // CHECK: "mtia.re_scale"(%[[ACC]], %{{.*}})
  linalg.generic {indexing_maps = [#row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%s : memref<64xf32>) outs(%acc : memref<64x64xf32>) {
  ^bb0(%f: f32, %o: f32):
    %p = arith.mulf %o, %f : f32
    linalg.yield %p : f32
  }
  // CHECK: "mtia.matmul"(%arg0, %arg1, %[[ACC]]) {zero = false}
  linalg.matmul ins(%a, %b : memref<64x32xf16>, memref<32x64xf16>) outs(%acc : memref<64x64xf32>)
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "cvt"} : (memref<1x4096xf32, strided<[4096, 1]>, 2>, memref<1x4096xf16
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%acc : memref<64x64xf32>) outs(%y : memref<64x64xf16>) {
  ^bb0(%i: f32, %o: f16):
    %t = arith.truncf %i : f32 to f16
    linalg.yield %t : f16
  }
  return
}

// fp32 products are IEEE fp32: a vector loop with k ascending.
// CHECK-LABEL: func.func @fp32
func.func @fp32(%a: memref<6x32xf32>, %b: memref<32x64xf32>, %c: memref<6x64xf32>) {
  // CHECK-NOT: mtia.matmul
  // CHECK: vector.fma {{.*}} : vector<64xf32>
  linalg.matmul ins(%a, %b : memref<6x32xf32>, memref<32x64xf32>) outs(%c : memref<6x64xf32>)
  return
}

// What no engine computes is a loop on the hart.
// CHECK-LABEL: func.func @general
func.func @general(%x: memref<64xi32>, %n: i32) {
  // CHECK: scf.for
  // CHECK: arith.remsi
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%x : memref<64xi32>) {
  ^bb0(%o: i32):
    %i = linalg.index 0 : index
    %j = arith.index_cast %i : index to i32
    %r = arith.remsi %j, %n : i32
    linalg.yield %r : i32
  }
  return
}

// Both sides of a select are computed before it: one of them where the result goes, the other elsewhere.
// CHECK-LABEL: func.func @both_sides
func.func @both_sides(%x: memref<64xf32>, %o: memref<64xf32>, %c: i1) {
  // CHECK: "mtia.simd_unary"(%{{.*}}, %[[KEPT:.*]]) {kind = "sqrt"}
  // CHECK-NOT: %[[KEPT]]) {kind = "exp"}
  // CHECK: "mtia.simd_unary"(%{{.*}}, %[[OTHER:.*]]) {kind = "exp"}
  // CHECK: "mtia.simd_ternary"(%arg2, %[[KEPT]], %[[OTHER]], %{{.*}}) {kind = "sel"}
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x : memref<64xf32>) outs(%o : memref<64xf32>) {
  ^bb0(%in: f32, %out: f32):
    %a = math.sqrt %in : f32
    %b = math.exp %in : f32
    %r = arith.select %c, %a, %b : f32
    linalg.yield %r : f32
  }
  return
}

// What an engine cannot begin it continues, from one value that the hart leaves in local memory.
// CHECK-LABEL: func.func @begun
func.func @begun(%x: memref<64xf32>, %o: memref<64xf32>, %n: i32) {
  // CHECK: %[[BETWEEN:.*]] = memref.alloc() : memref<64xi32>
  // CHECK: scf.for
  // CHECK: arith.mului_extended
  // CHECK: arith.xori
  // CHECK-NOT: arith.sitofp
  // CHECK: vector.store %{{.*}}, %[[BETWEEN]]
  // CHECK: "mtia.simd_unary"{{.*}}kind = "cvt"
  // CHECK: "mtia.simd_binary"{{.*}}kind = "div"
  // CHECK: "mtia.simd_binary"(%{{.*}}, %{{.*}}, %{{.*}}) {kind = "mul"}
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x : memref<64xf32>) outs(%o : memref<64xf32>) {
  ^bb0(%in: f32, %out: f32):
    %i = linalg.index 0 : index
    %j = arith.index_cast %i : index to i32
    %low, %high = arith.mului_extended %j, %n : i32
    %both = arith.xori %low, %high : i32
    %f = arith.sitofp %both : i32 to f32
    %d = arith.divf %f, %in : f32
    %p = arith.mulf %d, %d : f32
    %r = arith.mulf %p, %in : f32
    linalg.yield %r : f32
  }
  return
}

// Not so where the engine has no command for the rest either.
// CHECK-LABEL: func.func @not_continued
func.func @not_continued(%x: memref<64xf32>, %o: memref<64xf32>, %n: i32) {
  // CHECK-NOT: memref.alloc
  // CHECK: scf.for
  // CHECK: arith.remui
  // CHECK: arith.uitofp
  // CHECK: arith.mulf
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x : memref<64xf32>) outs(%o : memref<64xf32>) {
  ^bb0(%in: f32, %out: f32):
    %i = linalg.index 0 : index
    %j = arith.index_cast %i : index to i32
    %k = arith.remui %j, %n : i32
    %f = arith.uitofp %k : i32 to f32
    %p = arith.mulf %f, %in : f32
    %q = arith.mulf %p, %in : f32
    %r = arith.mulf %q, %in : f32
    linalg.yield %r : f32
  }
  return
}

// A tile that is contiguous along rows in device memory is moved in that order.
// CHECK-LABEL: func.func @turned
func.func @turned(%k: memref<?xf16, 1>, %q: memref<64x64xf16>, %o: memref<64x64xf32>, %s: index, %n: index) {
  %c0 = arith.constant 0 : index
  %h = arith.constant 0.0 : f16
  %t = memref.alloc() : memref<64x64xf16>
  %v = memref.reinterpret_cast %k to offset: [%n], sizes: [64, 64], strides: [1, %s] : memref<?xf16, 1> to memref<64x64xf16, strided<[1, ?], offset: ?>, 1>
  // CHECK: %[[T:.*]] = memref.reinterpret_cast %[[B:.*]] to offset: [0], sizes: [64, 64], strides: [1, 64]
  // CHECK: %[[G:.*]] = memref.reinterpret_cast %arg0 to offset: [%{{.*}}], sizes: [64, 64], strides: [%arg3, 1]
  // CHECK: "mtia.dma_in"(%[[G]], %[[B]], %c0, %c0, %arg4, %arg3, %{{.*}})
  "mtia.dma_in"(%v, %t, %c0, %c0, %s, %n, %h) {operandSegmentSizes = array<i32: 1, 1, 2, 2, 1>} : (memref<64x64xf16, strided<[1, ?], offset: ?>, 1>, memref<64x64xf16>, index, index, index, index, f16) -> ()
  // CHECK: "mtia.matmul"(%arg1, %[[T]]
  linalg.matmul ins(%q, %t : memref<64x64xf16>, memref<64x64xf16>) outs(%o : memref<64x64xf32>)
  return
}

// A clipped copy to device memory is one DMA with a valid range; a transpose is the memory layout unit's.
// CHECK-LABEL: func.func @moves
func.func @moves(%x: memref<64x32xf16>, %g: memref<?xf16, 1>, %n: index, %off: index) {
  %t = memref.alloc() : memref<32x64xf16>
  // CHECK: "mtia.transpose"(%arg0, %[[T:[a-z0-9_]+]])
  linalg.transpose ins(%x : memref<64x32xf16>) outs(%t : memref<32x64xf16>) permutation = [1, 0]
  %v = memref.reinterpret_cast %g to offset: [%off], sizes: [32, 64], strides: [64, 1] : memref<?xf16, 1> to memref<32x64xf16, strided<[64, 1], offset: ?>, 1>
  %p = memref.subview %t[0, 0] [%n, 64] [1, 1] : memref<32x64xf16> to memref<?x64xf16, strided<[64, 1]>>
  %d = memref.subview %v[0, 0] [%n, 64] [1, 1] : memref<32x64xf16, strided<[64, 1], offset: ?>, 1> to memref<?x64xf16, strided<[64, 1], offset: ?>, 1>
  // CHECK: "mtia.dma_out"(%[[T]], %{{.*}}, %{{.*}}, %{{.*}}, %arg2, %{{.*}})
  memref.copy %p, %d : memref<?x64xf16, strided<[64, 1]>> to memref<?x64xf16, strided<[64, 1], offset: ?>, 1>
  return
}
