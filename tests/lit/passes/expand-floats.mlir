// RUN: %mtiac opt --pass=expand-floats %s | %filecheck %s

// A code's magnitude moves to the fields of f32 and is scaled by the difference of the biases, 2**120.
// CHECK-LABEL: func.func @widen
func.func @widen(%x: f8E4M3FN) -> f16 {
  // CHECK: %[[BITS:.*]] = arith.bitcast %arg0 : f8E4M3FN to i8
  // CHECK: arith.constant 20 : i32
  // CHECK-NEXT: arith.shli %{{.*}}, %{{.*}} : i32
  // CHECK: arith.constant 1.329228E+36 : f32
  // CHECK-NEXT: arith.mulf %{{.*}}, %{{.*}} : f32
  // CHECK-NOT: arith.extf
  // CHECK: arith.truncf %{{.*}} : f32 to f16
  %y = arith.extf %x : f8E4M3FN to f16
  return %y : f16
}

// CHECK-LABEL: func.func @narrow
func.func @narrow(%x: vector<8xf32>) -> vector<8xf8E5M2> {
  // CHECK: arith.constant 5.734400e+04 : f32
  // CHECK-NOT: arith.truncf
  // CHECK: %[[CODE:.*]] = arith.trunci %{{.*}} : vector<8xi32> to vector<8xi8>
  // CHECK: arith.bitcast %[[CODE]] : vector<8xi8> to vector<8xf8E5M2>
  %y = arith.truncf %x : vector<8xf32> to vector<8xf8E5M2>
  return %y : vector<8xf8E5M2>
}

// Toward zero: one step back where rounding to nearest went away from it.
// CHECK-LABEL: func.func @toward_zero
func.func @toward_zero(%x: f32) -> f16 {
  // CHECK: %[[NEAR:.*]] = arith.truncf %arg0 : f32 to f16
  // CHECK: %[[BACK:.*]] = arith.extf %[[NEAR]] : f16 to f32
  // CHECK: %[[AWAY:.*]] = arith.cmpf ogt
  // CHECK: arith.subi
  // CHECK: arith.select %[[AWAY]]
  %y = arith.truncf %x toward_zero : f32 to f16
  return %y : f16
}

// f64 reaches a narrower type through f32 rounded to odd.
// CHECK-LABEL: func.func @one_rounding
func.func @one_rounding(%x: f64) -> bf16 {
  // CHECK: arith.cmpf one
  // CHECK: arith.ori
  // CHECK: %[[ODD:.*]] = arith.select
  // CHECK: arith.truncf %[[ODD]] : f32 to bf16
  %y = arith.truncf %x : f64 to bf16
  return %y : bf16
}

// CHECK-LABEL: func.func @arithmetic
func.func @arithmetic(%x: f8E5M2, %y: f8E5M2) -> f8E5M2 {
  // CHECK: arith.addf %{{.*}}, %{{.*}} : f32
  %z = arith.addf %x, %y : f8E5M2
  return %z : f8E5M2
}

// CHECK-LABEL: func.func @what_the_hart_has
func.func @what_the_hart_has(%x: f32) -> bf16 {
  // CHECK-NEXT: arith.truncf %arg0 : f32 to bf16
  // CHECK-NEXT: return
  %y = arith.truncf %x : f32 to bf16
  return %y : bf16
}

// Every operation rounds.
// CHECK-LABEL: func.func @bf16
func.func @bf16(%x: bf16, %y: bf16) -> bf16 {
  // CHECK: %[[P:.*]] = arith.mulf %{{.*}}, %{{.*}} : f32
  // CHECK: %[[R:.*]] = arith.truncf %[[P]] : f32 to bf16
  // CHECK: %[[E:.*]] = arith.extf %[[R]] : bf16 to f32
  // CHECK: arith.addf %[[E]], %{{.*}} : f32
  %z = arith.mulf %x, %y : bf16
  %s = arith.addf %z, %y : bf16
  return %s : bf16
}
