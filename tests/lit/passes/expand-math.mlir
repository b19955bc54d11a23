// RUN: %mtiac opt --pass=expand-math %s | %filecheck %s

// CHECK-LABEL: func.func @exp
func.func @exp(%x: vector<16xf32>) -> vector<16xf32> {
  // CHECK: %[[W:.*]] = arith.extf %arg0 : vector<16xf32> to vector<16xf64>
  // CHECK-NOT: math.exp
  // CHECK: math.roundeven
  // CHECK: math.fma
  // CHECK: arith.truncf %{{.*}} : vector<16xf64> to vector<16xf32>
  %y = math.exp %x : vector<16xf32>
  return %y : vector<16xf32>
}

// CHECK-LABEL: func.func @half
func.func @half(%x: bf16) -> bf16 {
  // LLVM cannot copy the sign of a bf16 that is extended by an instruction.
  // CHECK: arith.bitcast %arg0 : bf16 to i16
  // CHECK: arith.shli
  // CHECK: arith.extf %{{.*}} : f32 to f64
  // CHECK: arith.truncf %{{.*}} : f64 to f32
  // CHECK: arith.truncf %{{.*}} : f32 to bf16
  %y = math.tanh %x : bf16
  return %y : bf16
}

// CHECK-LABEL: func.func @exact_functions_stay
func.func @exact_functions_stay(%x: f32) -> f32 {
  // CHECK: math.sqrt
  %y = math.sqrt %x : f32
  // CHECK: math.floor
  %z = math.floor %y : f32
  return %z : f32
}

// CHECK-LABEL: func.func @remainder
func.func @remainder(%x: f32, %y: f32) -> f32 {
  // CHECK-NOT: arith.remf
  // CHECK: math.trunc
  %z = arith.remf %x, %y : f32
  return %z : f32
}
