// RUN: %mtiac opt --pass=fuse %s | %filecheck %s

// An elementwise chain with its mask is one operation; the matrix product stays named.
// CHECK-LABEL: func.func @chain
func.func @chain(%a: tensor<8x4xf16>, %b: tensor<4x8xf16>, %acc: tensor<8x8xf32>, %n: i32) -> tensor<8x8xf16> {
  // CHECK: linalg.matmul
  %0 = linalg.matmul ins(%a, %b : tensor<8x4xf16>, tensor<4x8xf16>) outs(%acc : tensor<8x8xf32>) -> tensor<8x8xf32>
  %cst = arith.constant 0.000000e+00 : f32
  %e = tensor.empty() : tensor<8x8xf32>
  %zero = linalg.fill ins(%cst : f32) outs(%e : tensor<8x8xf32>) -> tensor<8x8xf32>
  %m = tensor.empty() : tensor<8x8xi1>
  %mask = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} outs(%m : tensor<8x8xi1>) {
  ^bb0(%out: i1):
    %i = linalg.index 1 : index
    %j = arith.index_cast %i : index to i32
    %k = arith.cmpi slt, %j, %n : i32
    linalg.yield %k : i1
  } -> tensor<8x8xi1>
  // CHECK: linalg.generic
  // CHECK-NEXT: ^bb0(%[[IN:.*]]: f32, %{{.*}}: f16):
  // CHECK: linalg.index 1
  // CHECK: arith.maximumf %[[IN]]
  // CHECK: arith.select
  // CHECK: arith.truncf
  // CHECK-NOT: linalg.generic
  %1 = arith.maximumf %0, %zero : tensor<8x8xf32>
  %2 = arith.select %mask, %1, %zero : tensor<8x8xi1>, tensor<8x8xf32>
  %3 = arith.truncf %2 : tensor<8x8xf32> to tensor<8x8xf16>
  return %3 : tensor<8x8xf16>
}

// What is computed once a row is not computed again for every column; the repetition itself costs nothing.
// CHECK-LABEL: func.func @rows
func.func @rows(%x: tensor<8x4xf32>, %sum: tensor<8xf32>) -> tensor<8x4xf32> {
  // CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%arg1 : tensor<8xf32>)
  // CHECK: math.rsqrt
  // CHECK-NOT: linalg.broadcast
  // CHECK: linalg.generic {{.*}} ins(%arg0, %[[R]] : tensor<8x4xf32>, tensor<8xf32>)
  // CHECK: arith.mulf
  %0 = math.rsqrt %sum : tensor<8xf32>
  %e = tensor.empty() : tensor<8x4xf32>
  %1 = linalg.broadcast ins(%0 : tensor<8xf32>) outs(%e : tensor<8x4xf32>) dimensions = [1]
  %2 = arith.mulf %x, %1 : tensor<8x4xf32>
  return %2 : tensor<8x4xf32>
}

// Where only the repeated tensor says how many numbers are added, it stays.
// CHECK-LABEL: func.func @sum_of_repeated
func.func @sum_of_repeated(%x: tensor<1xi32>, %start: tensor<i32>) -> tensor<i32> {
  // CHECK: linalg.broadcast ins(%arg0 : tensor<1xi32>) outs(%{{.*}} : tensor<2x1xi32>) dimensions = [0]
  // CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<2x1xi32>) outs(%arg1 : tensor<i32>)
  %e = tensor.empty() : tensor<2x1xi32>
  %0 = linalg.broadcast ins(%x : tensor<1xi32>) outs(%e : tensor<2x1xi32>) dimensions = [0]
  %1 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> ()>], iterator_types = ["reduction", "reduction"]} ins(%0 : tensor<2x1xi32>) outs(%start : tensor<i32>) {
  ^bb0(%in: i32, %out: i32):
    %2 = arith.addi %out, %in : i32
    linalg.yield %2 : i32
  } -> tensor<i32>
  return %1 : tensor<i32>
}
