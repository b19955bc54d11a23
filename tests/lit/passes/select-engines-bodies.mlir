// RUN: %mtiac opt --pass=select-engines --target=mtia300 %s | %filecheck %s
// A choice by a comparison of places, r + k with c in a tile of 64x32: it is made only where some element can fail, which
// the hart sees at the place that is hardest: r - c + k is at most k + 63 and at least k - 31.

#id = affine_map<(d0, d1) -> (d0, d1)>

// CHECK-LABEL: func.func @lt
// CHECK: "mtia.simd_unary"(%arg0, %arg1) {kind = "exp"}
// CHECK: %[[EDGE:.*]] = arith.constant 63 : index
// CHECK: %[[HARD:.*]] = arith.addi %arg2, %[[EDGE]]
// CHECK: %[[SOME:.*]] = arith.cmpi sge, %[[HARD]], %c0
// CHECK-NEXT: scf.if %[[SOME]]
// CHECK: "mtia.mask"(%[[M:.*]], %c1{{.*}}, %c-1{{.*}}, %arg2) {predicate = "lt"}
// CHECK-NEXT: "mtia.simd_ternary"(%[[M]], %arg1, %{{.*}}, %arg1) {kind = "sel"}
func.func @lt(%x: memref<64x32xf32>, %y: memref<64x32xf32>, %k: index) {
  %low = arith.constant -1.0 : f32
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x32xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = linalg.index 0 : index
    %c = linalg.index 1 : index
    %n = arith.addi %r, %k : index
    %p = arith.cmpi slt, %n, %c : index
    %e = math.exp %a : f32
    %s = arith.select %p, %e, %low : f32
    linalg.yield %s : f32
  }
  return
}

// CHECK-LABEL: func.func @le
// CHECK: "mtia.simd_unary"(%arg0, %arg1) {kind = "exp"}
// CHECK: %[[EDGE:.*]] = arith.constant 63 : index
// CHECK: %[[HARD:.*]] = arith.addi %arg2, %[[EDGE]]
// CHECK: %[[SOME:.*]] = arith.cmpi sgt, %[[HARD]], %c0
// CHECK-NEXT: scf.if %[[SOME]]
// CHECK: "mtia.mask"(%[[M:.*]], %c1{{.*}}, %c-1{{.*}}, %arg2) {predicate = "le"}
// CHECK-NEXT: "mtia.simd_ternary"(%[[M]], %arg1, %{{.*}}, %arg1) {kind = "sel"}
func.func @le(%x: memref<64x32xf32>, %y: memref<64x32xf32>, %k: index) {
  %low = arith.constant -1.0 : f32
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x32xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = linalg.index 0 : index
    %c = linalg.index 1 : index
    %n = arith.addi %r, %k : index
    %p = arith.cmpi sle, %n, %c : index
    %e = math.exp %a : f32
    %s = arith.select %p, %e, %low : f32
    linalg.yield %s : f32
  }
  return
}

// CHECK-LABEL: func.func @ge
// CHECK: "mtia.simd_unary"(%arg0, %arg1) {kind = "exp"}
// CHECK: %[[EDGE:.*]] = arith.constant -31 : index
// CHECK: %[[HARD:.*]] = arith.addi %arg2, %[[EDGE]]
// CHECK: %[[SOME:.*]] = arith.cmpi slt, %[[HARD]], %c0
// CHECK-NEXT: scf.if %[[SOME]]
// CHECK: "mtia.mask"(%[[M:.*]], %c1{{.*}}, %c-1{{.*}}, %arg2) {predicate = "ge"}
// CHECK-NEXT: "mtia.simd_ternary"(%[[M]], %arg1, %{{.*}}, %arg1) {kind = "sel"}
func.func @ge(%x: memref<64x32xf32>, %y: memref<64x32xf32>, %k: index) {
  %low = arith.constant -1.0 : f32
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x32xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = linalg.index 0 : index
    %c = linalg.index 1 : index
    %n = arith.addi %r, %k : index
    %p = arith.cmpi sge, %n, %c : index
    %e = math.exp %a : f32
    %s = arith.select %p, %e, %low : f32
    linalg.yield %s : f32
  }
  return
}

// CHECK-LABEL: func.func @gt
// CHECK: "mtia.simd_unary"(%arg0, %arg1) {kind = "exp"}
// CHECK: %[[EDGE:.*]] = arith.constant -31 : index
// CHECK: %[[HARD:.*]] = arith.addi %arg2, %[[EDGE]]
// CHECK: %[[SOME:.*]] = arith.cmpi sle, %[[HARD]], %c0
// CHECK-NEXT: scf.if %[[SOME]]
// CHECK: "mtia.mask"(%[[M:.*]], %c1{{.*}}, %c-1{{.*}}, %arg2) {predicate = "gt"}
// CHECK-NEXT: "mtia.simd_ternary"(%[[M]], %arg1, %{{.*}}, %arg1) {kind = "sel"}
func.func @gt(%x: memref<64x32xf32>, %y: memref<64x32xf32>, %k: index) {
  %low = arith.constant -1.0 : f32
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x32xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = linalg.index 0 : index
    %c = linalg.index 1 : index
    %n = arith.addi %r, %k : index
    %p = arith.cmpi sgt, %n, %c : index
    %e = math.exp %a : f32
    %s = arith.select %p, %e, %low : f32
    linalg.yield %s : f32
  }
  return
}

// Of these there is no hardest place.
// CHECK-LABEL: func.func @eq
// CHECK-NOT: scf.if
// CHECK: "mtia.mask"({{.*}}) {predicate = "eq"}
// CHECK: "mtia.simd_ternary"
func.func @eq(%x: memref<64x32xf32>, %y: memref<64x32xf32>, %k: index) {
  %low = arith.constant -1.0 : f32
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x32xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = linalg.index 0 : index
    %c = linalg.index 1 : index
    %n = arith.addi %r, %k : index
    %p = arith.cmpi eq, %n, %c : index
    %e = math.exp %a : f32
    %s = arith.select %p, %e, %low : f32
    linalg.yield %s : f32
  }
  return
}

// CHECK-LABEL: func.func @ne
// CHECK-NOT: scf.if
// CHECK: "mtia.mask"({{.*}}) {predicate = "ne"}
// CHECK: "mtia.simd_ternary"
func.func @ne(%x: memref<64x32xf32>, %y: memref<64x32xf32>, %k: index) {
  %low = arith.constant -1.0 : f32
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x32xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = linalg.index 0 : index
    %c = linalg.index 1 : index
    %n = arith.addi %r, %k : index
    %p = arith.cmpi ne, %n, %c : index
    %e = math.exp %a : f32
    %s = arith.select %p, %e, %low : f32
    linalg.yield %s : f32
  }
  return
}

// Two conditions are two choices.
// CHECK-LABEL: func.func @both
// CHECK: arith.cmpi slt
// CHECK-NEXT: scf.if
// CHECK: {predicate = "ge"}
// CHECK: arith.cmpi sge
// CHECK-NEXT: scf.if
// CHECK: {predicate = "lt"}
func.func @both(%x: memref<64x32xf32>, %y: memref<64x32xf32>, %k: index) {
  %low = arith.constant -1.0 : f32
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x32xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = linalg.index 0 : index
    %c = linalg.index 1 : index
    %n = arith.addi %r, %k : index
    %i = arith.cmpi sge, %n, %c : index
    %j = arith.cmpi slt, %r, %k : index
    %p = arith.andi %i, %j : i1
    %e = math.exp %a : f32
    %s = arith.select %p, %e, %low : f32
    linalg.yield %s : f32
  }
  return
}

// r + k - 3c is at least k - 93.
// CHECK-LABEL: func.func @scaled
// CHECK: %[[EDGE:.*]] = arith.constant -93 : index
// CHECK: "mtia.mask"(%{{.*}}, %c1{{.*}}, %c-3{{.*}}, %arg2) {predicate = "ge"}
func.func @scaled(%x: memref<64x32xf32>, %y: memref<64x32xf32>, %k: index) {
  %low = arith.constant -1.0 : f32
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<64x32xf32>) outs(%y : memref<64x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = linalg.index 0 : index
    %c = linalg.index 1 : index
    %n = arith.addi %r, %k : index
    %three = arith.constant 3 : index
    %m = arith.muli %three, %c : index
    %p = arith.cmpi sge, %n, %m : index
    %e = math.exp %a : f32
    %s = arith.select %p, %e, %low : f32
    linalg.yield %s : f32
  }
  return
}
