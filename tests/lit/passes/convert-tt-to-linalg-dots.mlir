// RUN: %mtiac opt --from=ttir --to=linalg --target=mtia300 %s | %filecheck %s
// RUN: %mtiac opt --from=ttir --to=linalg --target=mtia200 %s | %filecheck %s --check-prefix=OLD

// MTIA 200 multiplies 8-bit floats in f16; MTIA 300 has them, and no 8-bit integers.
// CHECK-LABEL: func.func @eight_bits
// OLD-LABEL: func.func @eight_bits
// OLD-SAME: tt.accesses = [{{.*}}tt.dot: in f16, which holds them (mtia200 does not multiply f8E4M3FN and f8E5M2)
tt.func public @eight_bits(%a: tensor<16x32xf8E4M3FN>, %b: tensor<32x16xf8E5M2>, %c: tensor<16x16xf32>, %p: !tt.ptr<f32>) {
  // CHECK: linalg.matmul ins(%arg0, %arg1 : tensor<16x32xf8E4M3FN>, tensor<32x16xf8E5M2>)
  // OLD: arith.extf {{.*}} : f8E4M3FN to f16
  // OLD: arith.extf {{.*}} : f8E5M2 to f16
  // OLD: linalg.matmul ins(%{{.*}}, %{{.*}} : tensor<16x32xf16>, tensor<32x16xf16>)
  %d = tt.dot %a, %b, %c : tensor<16x32xf8E4M3FN> * tensor<32x16xf8E5M2> -> tensor<16x16xf32>
  %ptrs = tt.splat %p : !tt.ptr<f32> -> tensor<16x16x!tt.ptr<f32>>
  tt.store %ptrs, %d : tensor<16x16x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @integers
// OLD-LABEL: func.func @integers
tt.func public @integers(%a: tensor<16x32xi8>, %b: tensor<32x16xi8>, %c: tensor<16x16xi32>, %p: !tt.ptr<i32>) {
  // CHECK: arith.sitofp {{.*}} : i8 to f16
  // CHECK: %[[P:.*]] = linalg.matmul ins(%{{.*}}, %{{.*}} : tensor<16x32xf16>, tensor<32x16xf16>)
  // CHECK: %[[I:.*]] = arith.fptosi %[[P]]
  // CHECK: arith.addi %[[I]], %arg2
  // OLD: linalg.matmul ins(%arg0, %arg1 : tensor<16x32xi8>, tensor<32x16xi8>)
  %d = tt.dot %a, %b, %c : tensor<16x32xi8> * tensor<32x16xi8> -> tensor<16x16xi32>
  %ptrs = tt.splat %p : !tt.ptr<i32> -> tensor<16x16x!tt.ptr<i32>>
  tt.store %ptrs, %d : tensor<16x16x!tt.ptr<i32>>
  tt.return
}

// f32 in two tf32 parts: the small products first; where there is no tf32, three parts of bf16.
// CHECK-LABEL: func.func @parts
// OLD-LABEL: func.func @parts
tt.func public @parts(%a: tensor<16x32xf32>, %b: tensor<32x16xf32>, %c: tensor<16x16xf32>, %p: !tt.ptr<f32>) {
  // CHECK: arith.andi {{.*}} : i32
  // CHECK: %[[HIGH:.*]] = bufferization.to_tensor
  // CHECK: arith.subf
  // CHECK: %[[LOW:.*]] = bufferization.to_tensor
  // CHECK: %[[RIGHT:.*]] = bufferization.to_tensor
  // CHECK: %[[FIRST:.*]] = linalg.matmul {mtia.precision = "tf32"} ins(%[[LOW]], %[[RIGHT]] {{.*}} outs(%arg2
  // CHECK: linalg.matmul {mtia.precision = "tf32"} ins(%[[HIGH]], {{.*}} outs(%[[FIRST]]
  // CHECK: linalg.matmul {mtia.precision = "tf32"} ins(%[[HIGH]], %[[RIGHT]]
  // CHECK-NOT: linalg.matmul
  // OLD-COUNT-6: linalg.matmul ins(%{{.*}}, %{{.*}} : tensor<16x32xbf16>, tensor<32x16xbf16>)
  // OLD-NOT: linalg.matmul
  %d = tt.dot %a, %b, %c, inputPrecision = tf32x3 : tensor<16x32xf32> * tensor<32x16xf32> -> tensor<16x16xf32>
  %ptrs = tt.splat %p : !tt.ptr<f32> -> tensor<16x16x!tt.ptr<f32>>
  tt.store %ptrs, %d : tensor<16x16x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @ieee
// OLD-LABEL: func.func @ieee
tt.func public @ieee(%a: tensor<16x32xf32>, %b: tensor<32x16xf32>, %c: tensor<16x16xf32>, %p: !tt.ptr<f32>) {
  // CHECK: linalg.matmul ins(%arg0, %arg1
  %d = tt.dot %a, %b, %c : tensor<16x32xf32> * tensor<32x16xf32> -> tensor<16x16xf32>
  %ptrs = tt.splat %p : !tt.ptr<f32> -> tensor<16x16x!tt.ptr<f32>>
  tt.store %ptrs, %d : tensor<16x16x!tt.ptr<f32>>
  tt.return
}
