// RUN: %mtiac opt --pass=lower-to-hart %s | %filecheck %s
// Which elementwise operations are vector loops of the hart: four registers of 512 bits at a time, or two or one.

#id = affine_map<(d0) -> (d0)>
#id2 = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
#none = affine_map<(d0) -> ()>

// 256 numbers.
// CHECK-LABEL: func.func @n256
// CHECK: arith.addf %{{.*}} : vector<64xf32>
// CHECK-NEXT: vector.store
// CHECK-NOT: arith.addf
func.func @n256(%x: memref<256xf32>, %y: memref<256xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<256xf32>) outs(%y : memref<256xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  }
  return
}

// 64 numbers.
// CHECK-LABEL: func.func @n64
// CHECK: arith.addf %{{.*}} : vector<64xf32>
// CHECK-NEXT: vector.store
// CHECK-NOT: arith.addf
func.func @n64(%x: memref<64xf32>, %y: memref<64xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<64xf32>) outs(%y : memref<64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  }
  return
}

// 63 numbers, 31 of them one by one.
// CHECK-LABEL: func.func @n63
// CHECK: arith.addf %{{.*}} : vector<32xf32>
// CHECK-NEXT: vector.store
// CHECK: arith.addf %{{.*}} : f32
// CHECK-NEXT: memref.store
func.func @n63(%x: memref<63xf32>, %y: memref<63xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<63xf32>) outs(%y : memref<63xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  }
  return
}

// 32 numbers.
// CHECK-LABEL: func.func @n32
// CHECK: arith.addf %{{.*}} : vector<32xf32>
// CHECK-NEXT: vector.store
// CHECK-NOT: arith.addf
func.func @n32(%x: memref<32xf32>, %y: memref<32xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<32xf32>) outs(%y : memref<32xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  }
  return
}

// 31 numbers, 15 of them one by one.
// CHECK-LABEL: func.func @n31
// CHECK: arith.addf %{{.*}} : vector<16xf32>
// CHECK-NEXT: vector.store
// CHECK: arith.addf %{{.*}} : f32
// CHECK-NEXT: memref.store
func.func @n31(%x: memref<31xf32>, %y: memref<31xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<31xf32>) outs(%y : memref<31xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  }
  return
}

// 16 numbers.
// CHECK-LABEL: func.func @n16
// CHECK: arith.addf %{{.*}} : vector<16xf32>
// CHECK-NEXT: vector.store
// CHECK-NOT: arith.addf
func.func @n16(%x: memref<16xf32>, %y: memref<16xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<16xf32>) outs(%y : memref<16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  }
  return
}

// Fewer than a register.
// CHECK-LABEL: func.func @n15
// CHECK-NOT: vector
// CHECK: arith.addf %{{.*}} : f32
func.func @n15(%x: memref<15xf32>, %y: memref<15xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<15xf32>) outs(%y : memref<15xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  }
  return
}

// The widest type counts.
// CHECK-LABEL: func.func @half
// CHECK: arith.addf %{{.*}} : vector<128xf16>
func.func @half(%x: memref<256xf16>, %y: memref<256xf16>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<256xf16>) outs(%y : memref<256xf16>) {
  ^bb0(%a: f16, %o: f16):
    %r = arith.addf %a, %a : f16
    linalg.yield %r : f16
  }
  return
}

// Also one inside.
// CHECK-LABEL: func.func @widened
// CHECK: arith.mulf %{{.*}} : vector<64xf32>
func.func @widened(%x: memref<256xf16>, %y: memref<256xf16>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<256xf16>) outs(%y : memref<256xf16>) {
  ^bb0(%a: f16, %o: f16):
    %e = arith.extf %a : f16 to f32
    %s = arith.mulf %e, %e : f32
    %r = arith.truncf %s : f32 to f16
    linalg.yield %r : f16
  }
  return
}

// Not doubles,
// CHECK-LABEL: func.func @double
// CHECK-NOT: vector
// CHECK: arith.addf %{{.*}} : f64
func.func @double(%x: memref<256xf64>, %y: memref<256xf64>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<256xf64>) outs(%y : memref<256xf64>) {
  ^bb0(%a: f64, %o: f64):
    %r = arith.addf %a, %a : f64
    linalg.yield %r : f64
  }
  return
}

// nor elements that are not next to each other, read
// CHECK-LABEL: func.func @apart
// CHECK-NOT: vector
// CHECK: arith.addf %{{.*}} : f32
func.func @apart(%x: memref<64xf32, strided<[2]>>, %y: memref<64xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<64xf32, strided<[2]>>) outs(%y : memref<64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  }
  return
}

// or written,
// CHECK-LABEL: func.func @apart_out
// CHECK-NOT: vector
// CHECK: arith.addf %{{.*}} : f32
func.func @apart_out(%x: memref<64xf32>, %y: memref<64xf32, strided<[2]>>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<64xf32>) outs(%y : memref<64xf32, strided<[2]>>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %a : f32
    linalg.yield %r : f32
  }
  return
}

// nor functions that are no instruction.
// CHECK-LABEL: func.func @function
// CHECK-NOT: vector
// CHECK: math.exp %{{.*}} : f32
func.func @function(%x: memref<64xf32>, %y: memref<64xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<64xf32>) outs(%y : memref<64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  }
  return
}

// A square root is one.
// CHECK-LABEL: func.func @root
// CHECK: math.sqrt %{{.*}} : vector<64xf32>
func.func @root(%x: memref<64xf32>, %y: memref<64xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : memref<64xf32>) outs(%y : memref<64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.sqrt %a : f32
    linalg.yield %r : f32
  }
  return
}

// One value for a row, or for all, is loaded once.
// CHECK-LABEL: func.func @rows
// CHECK: %[[ONE:.*]] = memref.load %{{.*}}[%{{.*}}] : memref<1xf32
// CHECK-NEXT: %[[ALL:.*]] = vector.broadcast %[[ONE]] : f32 to vector<64xf32>
// CHECK-NEXT: arith.mulf %{{.*}}, %[[ALL]] : vector<64xf32>
func.func @rows(%x: memref<4x64xf32>, %s: memref<4xf32>, %y: memref<4x64xf32>) {
  linalg.generic {indexing_maps = [#id2, #row, #id2], iterator_types = ["parallel", "parallel"]}
      ins(%x, %s : memref<4x64xf32>, memref<4xf32>) outs(%y : memref<4x64xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  }
  return
}

// A constant too.
// CHECK-LABEL: func.func @constant
// CHECK-DAG: %[[V:.*]] = vector.broadcast %arg1
// CHECK-DAG: %[[C:.*]] = arith.constant dense<2.000000e+00> : vector<64xf32>
// CHECK: arith.mulf %[[V]], %[[C]] : vector<64xf32>
func.func @constant(%y: memref<64xf32>, %v: f32) {
  linalg.generic {indexing_maps = [#none, #id], iterator_types = ["parallel"]}
      ins(%v : f32) outs(%y : memref<64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %c = arith.constant 2.0 : f32
    %r = arith.mulf %a, %c : f32
    linalg.yield %r : f32
  }
  return
}
