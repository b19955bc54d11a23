// RUN: %mtiac opt --pass=select-engines --target=mtia300 %s | %filecheck %s
// Every operation and the command of the SIMD engine that computes it.

#id = affine_map<(d0, d1) -> (d0, d1)>

// CHECK-LABEL: func.func @unary
func.func @unary(%x: memref<8x16xf32>, %y: memref<8x16xf32>) {
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "neg"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.negf %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "abs"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.absf %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "exp"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "exp2"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.exp2 %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "log"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.log %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "log2"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.log2 %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "sqrt"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.sqrt %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "rsqrt"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.rsqrt %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "tanh"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.tanh %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "erf"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.erf %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "sin"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.sin %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "cos"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.cos %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "floor"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.floor %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "ceil"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.ceil %a : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "rint"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.roundeven %a : f32
    linalg.yield %r : f32
  }
  return
}

// CHECK-LABEL: func.func @binary
func.func @binary(%x: memref<8x16xf32>, %z: memref<8x16xf32>, %y: memref<8x16xf32>) {
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "add"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "sub"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.subf %a, %b : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "mul"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "div"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.divf %a, %b : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "max"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.maximumf %a, %b : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "min"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.minimumf %a, %b : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "maxn"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.maxnumf %a, %b : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "minn"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.minnumf %a, %b : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "pow"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = math.powf %a, %b : f32
    linalg.yield %r : f32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "copysign"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = math.copysign %a, %b : f32
    linalg.yield %r : f32
  }
  return
}

// CHECK-LABEL: func.func @integers
func.func @integers(%x: memref<8x16xi32>, %z: memref<8x16xi32>, %y: memref<8x16xi32>) {
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "add"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi32>) {
  ^bb0(%a: i32, %b: i32, %o: i32):
    %r = arith.addi %a, %b : i32
    linalg.yield %r : i32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "sub"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi32>) {
  ^bb0(%a: i32, %b: i32, %o: i32):
    %r = arith.subi %a, %b : i32
    linalg.yield %r : i32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "mul"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi32>) {
  ^bb0(%a: i32, %b: i32, %o: i32):
    %r = arith.muli %a, %b : i32
    linalg.yield %r : i32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "max"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi32>) {
  ^bb0(%a: i32, %b: i32, %o: i32):
    %r = arith.maxsi %a, %b : i32
    linalg.yield %r : i32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "min"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi32>) {
  ^bb0(%a: i32, %b: i32, %o: i32):
    %r = arith.minsi %a, %b : i32
    linalg.yield %r : i32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "or"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi32>) {
  ^bb0(%a: i32, %b: i32, %o: i32):
    %r = arith.ori %a, %b : i32
    linalg.yield %r : i32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "xor"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi32>) {
  ^bb0(%a: i32, %b: i32, %o: i32):
    %r = arith.xori %a, %b : i32
    linalg.yield %r : i32
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "and"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi32>) {
  ^bb0(%a: i32, %b: i32, %o: i32):
    %r = arith.andi %a, %b : i32
    linalg.yield %r : i32
  }
  return
}

// CHECK-LABEL: func.func @compare
func.func @compare(%x: memref<8x16xf32>, %z: memref<8x16xf32>, %y: memref<8x16xi1>) {
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "eq"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %b: f32, %o: i1):
    %r = arith.cmpf oeq, %a, %b : f32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "gt"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %b: f32, %o: i1):
    %r = arith.cmpf ogt, %a, %b : f32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "ge"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %b: f32, %o: i1):
    %r = arith.cmpf oge, %a, %b : f32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "lt"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %b: f32, %o: i1):
    %r = arith.cmpf olt, %a, %b : f32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "le"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %b: f32, %o: i1):
    %r = arith.cmpf ole, %a, %b : f32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "ne"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %b: f32, %o: i1):
    %r = arith.cmpf une, %a, %b : f32
    linalg.yield %r : i1
  }
  return
}

// An unordered comparison is the negation of the opposite ordered one.
// CHECK-LABEL: func.func @unordered
func.func @unordered(%x: memref<8x16xf32>, %z: memref<8x16xf32>, %y: memref<8x16xi1>) {
  // CHECK: "mtia.simd_binary"(%{{.*}}, %[[M:.*]]) {kind = "le"}
  // CHECK-NEXT: "mtia.simd_unary"(%[[M]], %{{.*}}) {kind = "not"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %b: f32, %o: i1):
    %r = arith.cmpf ugt, %a, %b : f32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}, %[[M:.*]]) {kind = "lt"}
  // CHECK-NEXT: "mtia.simd_unary"(%[[M]], %{{.*}}) {kind = "not"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %b: f32, %o: i1):
    %r = arith.cmpf uge, %a, %b : f32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}, %[[M:.*]]) {kind = "ge"}
  // CHECK-NEXT: "mtia.simd_unary"(%[[M]], %{{.*}}) {kind = "not"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %b: f32, %o: i1):
    %r = arith.cmpf ult, %a, %b : f32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}, %[[M:.*]]) {kind = "gt"}
  // CHECK-NEXT: "mtia.simd_unary"(%[[M]], %{{.*}}) {kind = "not"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xf32>, memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %b: f32, %o: i1):
    %r = arith.cmpf ule, %a, %b : f32
    linalg.yield %r : i1
  }
  return
}

// A number compared with itself says whether it is NaN.
// CHECK-LABEL: func.func @nan
func.func @nan(%x: memref<8x16xf32>, %y: memref<8x16xi1>) {
  // CHECK: "mtia.simd_binary"(%[[X:.*]], %[[X]], %{{.*}}) {kind = "ne"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %o: i1):
    %r = arith.cmpf uno, %a, %a : f32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%[[X:.*]], %[[X]], %{{.*}}) {kind = "eq"}
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x16xf32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: f32, %o: i1):
    %r = arith.cmpf ord, %a, %a : f32
    linalg.yield %r : i1
  }
  return
}

// CHECK-LABEL: func.func @compare_integers
func.func @compare_integers(%x: memref<8x16xi32>, %z: memref<8x16xi32>, %y: memref<8x16xi1>) {
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "eq"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: i32, %b: i32, %o: i1):
    %r = arith.cmpi eq, %a, %b : i32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "ne"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: i32, %b: i32, %o: i1):
    %r = arith.cmpi ne, %a, %b : i32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "lt"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: i32, %b: i32, %o: i1):
    %r = arith.cmpi slt, %a, %b : i32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "le"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: i32, %b: i32, %o: i1):
    %r = arith.cmpi sle, %a, %b : i32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "gt"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: i32, %b: i32, %o: i1):
    %r = arith.cmpi sgt, %a, %b : i32
    linalg.yield %r : i1
  }
  // CHECK: "mtia.simd_binary"(%{{.*}}) {kind = "ge"}
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: i32, %b: i32, %o: i1):
    %r = arith.cmpi sge, %a, %b : i32
    linalg.yield %r : i1
  }
  return
}

// Unsigned comparisons of numbers are the hart's.
// CHECK-LABEL: func.func @unsigned
func.func @unsigned(%x: memref<8x16xi32>, %z: memref<8x16xi32>, %y: memref<8x16xi1>) {
  // CHECK-NOT: mtia.simd
  // CHECK: arith.cmpi ult
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<8x16xi32>, memref<8x16xi32>) outs(%y : memref<8x16xi1>) {
  ^bb0(%a: i32, %b: i32, %o: i1):
    %r = arith.cmpi ult, %a, %b : i32
    linalg.yield %r : i1
  }
  return
}
