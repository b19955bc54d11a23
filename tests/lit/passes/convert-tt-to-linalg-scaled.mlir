// RUN: %mtiac opt --from=ttir --to=linalg %s | %filecheck %s

// Codes of factors become f32 exponents on their own; elements times factors are rounded once, to bf16.
// CHECK-LABEL: func.func @one_side
// CHECK-SAME: tt.dot_scaled: a product in bf16 (mtia200 does not multiply blocks with factors)
tt.func public @one_side(%a: tensor<16x64xf8E4M3FN>, %s: tensor<16x2xi8>, %b: tensor<64x32xbf16>, %c: tensor<16x32xf32>, %p: !tt.ptr<f32>) {
  // CHECK-DAG: %[[A:.*]] = bufferization.to_buffer %arg0 read_only
  // CHECK-DAG: %[[S:.*]] = bufferization.to_buffer %arg1 read_only
  // CHECK: %[[FACTORS:.*]] = memref.alloc() : memref<16x2xf32>
  // CHECK: linalg.generic {{.*}} ins(%[[S]] : memref<16x2xi8>) outs(%[[FACTORS]] : memref<16x2xf32>)
  // CHECK: arith.shli
  // CHECK: arith.bitcast %{{.*}} : i32 to f32
  // CHECK: %[[WIDE:.*]] = memref.alloc() : memref<16x64xbf16>
  // CHECK: %[[GROUPS:.*]] = memref.expand_shape %[[A]] {{\[\[}}0], [1, 2]] output_shape [16, 2, 32]
  // CHECK: linalg.generic {{.*}} ins(%[[GROUPS]], %[[FACTORS]] : memref<16x2x32xf8E4M3FN>, memref<16x2xf32>)
  // CHECK: arith.extf %{{.*}} : f8E4M3FN to f32
  // CHECK: arith.mulf
  // CHECK: arith.truncf %{{.*}} : f32 to bf16
  // CHECK: %[[RESULT:.*]] = bufferization.to_tensor %[[WIDE]]
  // CHECK: linalg.matmul ins(%[[RESULT]], %arg2 : tensor<16x64xbf16>, tensor<64x32xbf16>) outs(%arg3
  %d = tt.dot_scaled %a scale %s, %b, %c lhs = e4m3 rhs = bf16 {fastMath = false} : tensor<16x64xf8E4M3FN>, tensor<16x2xi8> * tensor<64x32xbf16> -> tensor<16x32xf32>
  %ptrs = tt.splat %p : !tt.ptr<f32> -> tensor<16x32x!tt.ptr<f32>>
  tt.store %ptrs, %d : tensor<16x32x!tt.ptr<f32>>
  tt.return
}

// Two 4-bit elements of a byte go to every second place along k; with f16 on the other side the product is in f16.
// CHECK-LABEL: func.func @four_bits
tt.func public @four_bits(%a: tensor<16x64xf16>, %b: tensor<32x32xi8>, %s: tensor<32x2xi8>, %c: tensor<16x32xf32>, %p: !tt.ptr<f32>) {
  // CHECK: %[[WIDE:.*]] = memref.alloc() : memref<64x32xf16>
  // CHECK: memref.subview %[[WIDE]][0, 0] [32, 32] [2, 1]
  // CHECK: arith.shrui %{{.*}} : i8
  // CHECK: memref.subview %[[WIDE]][1, 0] [32, 32] [2, 1]
  // CHECK: %[[B:.*]] = bufferization.to_tensor %[[WIDE]]
  // CHECK: linalg.matmul ins(%arg0, %[[B]] : tensor<16x64xf16>, tensor<64x32xf16>)
  %d = tt.dot_scaled %a, %b scale %s, %c lhs = fp16 rhs = e2m1 {fastMath = false} : tensor<16x64xf16> * tensor<32x32xi8>, tensor<32x2xi8> -> tensor<16x32xf32>
  %ptrs = tt.splat %p : !tt.ptr<f32> -> tensor<16x32x!tt.ptr<f32>>
  tt.store %ptrs, %d : tensor<16x32x!tt.ptr<f32>>
  tt.return
}
