// RUN: %mtiac opt --pass=select-engines --target=mtia300 %s | %filecheck %s
// RUN: %mtiac opt --pass=select-engines --target=mtia200 %s | %filecheck %s --check-prefix=OLD

// 8-bit floats multiply, also mixed; MTIA 200 has none and multiplies on the hart.
// CHECK-LABEL: func.func @eight_bits
// OLD-LABEL: func.func @eight_bits
func.func @eight_bits(%a: memref<16x32xf8E4M3FN>, %b: memref<32x16xf8E5M2>, %c: memref<16x16xf32>) {
  // CHECK: "mtia.matmul"(%{{.*}}, %{{.*}}, %{{.*}}) {{.*}} (memref<16x32xf8E4M3FN>, memref<32x16xf8E5M2>, memref<16x16xf32, 2>)
  // OLD-NOT: mtia.matmul
  // OLD: arith.extf %{{.*}} : f8E4M3FN to f32
  linalg.matmul ins(%a, %b : memref<16x32xf8E4M3FN>, memref<32x16xf8E5M2>) outs(%c : memref<16x16xf32>)
  return
}

// f32 factors go to the engine when tf32 is asked for, and only then.
// CHECK-LABEL: func.func @tf32
func.func @tf32(%a: memref<16x32xf32>, %b: memref<32x16xf32>, %c: memref<16x16xf32>) {
  // CHECK: mtia.matmul
  linalg.matmul {mtia.precision = "tf32"} ins(%a, %b : memref<16x32xf32>, memref<32x16xf32>) outs(%c : memref<16x16xf32>)
  return
}

// CHECK-LABEL: func.func @ieee
func.func @ieee(%a: memref<16x32xf32>, %b: memref<32x16xf32>, %c: memref<16x16xf32>) {
  // CHECK-NOT: mtia.matmul
  // CHECK: vector.fma
  linalg.matmul {mtia.precision = "ieee"} ins(%a, %b : memref<16x32xf32>, memref<32x16xf32>) outs(%c : memref<16x16xf32>)
  return
}

// A conversion is part of reading and writing; rounding toward zero is not, and stays on the hart.
// CHECK-LABEL: func.func @scale
// OLD-LABEL: func.func @scale
func.func @scale(%x: memref<8x32xf8E4M3FN>, %s: memref<8xf32>, %y: memref<8x32xbf16>) {
  // CHECK: "mtia.simd_binary"({{.*}}) {kind = "mul"} : (memref<8x32xf8E4M3FN>, memref<8x32xf32, strided<[1, 0]>>, memref<8x32xbf16>)
  // CHECK-NOT: mtia.simd
  // OLD-NOT: mtia.simd
  // OLD: vector.load {{.*}} vector<32xf8E4M3FN>
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]} ins(%x, %s : memref<8x32xf8E4M3FN>, memref<8xf32>) outs(%y : memref<8x32xbf16>) {
  ^bb0(%e: f8E4M3FN, %f: f32, %_: bf16):
    %w = arith.extf %e : f8E4M3FN to f32
    %p = arith.mulf %w, %f : f32
    %r = arith.truncf %p : f32 to bf16
    linalg.yield %r : bf16
  }
  return
}

// CHECK-LABEL: func.func @toward_zero
func.func @toward_zero(%x: memref<8x32xf32>, %y: memref<8x32xbf16>) {
  // CHECK-NOT: mtia.simd
  // CHECK: arith.truncf {{.*}} toward_zero
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]} ins(%x : memref<8x32xf32>) outs(%y : memref<8x32xbf16>) {
  ^bb0(%e: f32, %_: bf16):
    %r = arith.truncf %e toward_zero : f32 to bf16
    linalg.yield %r : bf16
  }
  return
}

// The same bits as another type are moved by the unit that does not look at types.
// CHECK-LABEL: func.func @bits
func.func @bits(%x: memref<8x32xi8>, %y: memref<8x32xf8E5M2>) {
  // CHECK: "mtia.copy"(%{{.*}}, %{{.*}}) : (memref<1x256xi8, {{.*}}>, memref<1x256xf8E5M2, {{.*}}>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]} ins(%x : memref<8x32xi8>) outs(%y : memref<8x32xf8E5M2>) {
  ^bb0(%e: i8, %_: f8E5M2):
    %r = arith.bitcast %e : i8 to f8E5M2
    linalg.yield %r : f8E5M2
  }
  return
}

// A chip whose SIMD engine has no 8-bit floats reduces them on the hart.
// CHECK-LABEL: func.func @smallest
// OLD-LABEL: func.func @smallest
func.func @smallest(%x: memref<8x32xf8E4M3FN>, %y: memref<8xf32>) {
  // CHECK: "mtia.simd_reduce"({{.*}}) {kind = "rminn"} : (memref<8x32xf8E4M3FN>, memref<8x1xf32, strided<[1, 1]>>)
  // OLD-NOT: mtia.simd_reduce
  // OLD: arith.minnumf
  // OLD-NOT: mtia.simd_reduce
  %nan = arith.constant 0x7FC00000 : f32
  linalg.fill ins(%nan : f32) outs(%y : memref<8xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
    iterator_types = ["parallel", "reduction"]} ins(%x : memref<8x32xf8E4M3FN>) outs(%y : memref<8xf32>) {
  ^bb0(%e: f8E4M3FN, %least: f32):
    %w = arith.extf %e : f8E4M3FN to f32
    %m = arith.minnumf %least, %w : f32
    linalg.yield %m : f32
  }
  return
}

// Bits that become a float and then a narrower one: moved first, then converted.
// CHECK-LABEL: func.func @bits_narrowed
func.func @bits_narrowed(%x: memref<8x32xi32>, %y: memref<8x32xf16>) {
  // CHECK: %[[WIDE:.*]] = memref.alloc() : memref<1x256xf32>
  // CHECK: "mtia.copy"(%{{.*}}, %[[WIDE]])
  // CHECK: "mtia.simd_unary"(%[[WIDE]], %{{.*}}) {kind = "cvt"} : (memref<1x256xf32>, memref<1x256xf16, strided<[256, 1]>>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
    iterator_types = ["parallel", "parallel"]} ins(%x : memref<8x32xi32>) outs(%y : memref<8x32xf16>) {
  ^bb0(%e: i32, %_: f16):
    %f = arith.bitcast %e : i32 to f32
    %r = arith.truncf %f : f32 to f16
    linalg.yield %r : f16
  }
  return
}

// A maximum that becomes a double is converted by the hart; the SIMD engine has no doubles.
// CHECK-LABEL: func.func @double
// OLD-LABEL: func.func @double
func.func @double(%x: memref<32xf32>, %p: memref<?xf64, 1>) {
  // CHECK: "mtia.simd_reduce"
  // CHECK-NOT: mtia.simd
  // CHECK: %[[MOST:.*]] = memref.load %{{.*}} : memref<f32>
  // CHECK: %[[WIDE:.*]] = arith.extf %[[MOST]] : f32 to f64
  // CHECK: memref.store %[[WIDE]]
  %c0 = arith.constant 0 : index
  %nan = arith.constant 0x7FC00000 : f32
  %most = memref.alloc() : memref<f32>
  linalg.fill ins(%nan : f32) outs(%most : memref<f32>)
  linalg.reduce { arith.maxnumf } ins(%x : memref<32xf32>) outs(%most : memref<f32>) dimensions = [0]
  %m = memref.load %most[] : memref<f32>
  %w = arith.extf %m : f32 to f64
  memref.store %w, %p[%c0] : memref<?xf64, 1>
  return
}
