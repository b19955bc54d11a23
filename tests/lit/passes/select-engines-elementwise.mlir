// RUN: %mtiac opt --pass=select-engines --target=mtia300 %s | %filecheck %s
// Where the commands of a body put what they compute.

#id = affine_map<(d0, d1) -> (d0, d1)>

// A chain is computed in its result's buffer from its beginning, which costs no other buffer.
// CHECK-LABEL: func.func @chain
// CHECK-NOT: memref.alloc
// CHECK: "mtia.simd_binary"(%arg0, %arg0, %arg1) {kind = "mul"}
// CHECK-NEXT: "mtia.simd_unary"(%arg1, %arg1) {kind = "log"}
// CHECK-NEXT: "mtia.simd_unary"(%arg1, %arg1) {kind = "exp"}
// CHECK-NEXT: return
func.func @chain(%x: memref<1x128xf32>, %y: memref<1x128xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<1x128xf32>) outs(%y : memref<1x128xf32>) {
  ^bb0(%a: f32, %o: f32):
    %m = arith.mulf %a, %a : f32
    %l = math.log %m : f32
    %e = math.exp %l : f32
    linalg.yield %e : f32
  }
  return
}

// Of two operands one is computed there, the other in a buffer of its own, which the chain behind it uses again.
// CHECK-LABEL: func.func @tree
// CHECK: "mtia.simd_unary"(%arg0, %arg1) {kind = "exp"}
// CHECK-NEXT: %[[T:.*]] = memref.alloc() : memref<1x128xf32>
// CHECK-NEXT: "mtia.simd_unary"(%arg0, %[[T]]) {kind = "log"}
// CHECK-NEXT: "mtia.simd_unary"(%[[T]], %[[T]]) {kind = "sqrt"}
// CHECK-NEXT: "mtia.simd_binary"(%arg1, %[[T]], %arg1) {kind = "sub"}
// CHECK-NEXT: return
func.func @tree(%x: memref<1x128xf32>, %y: memref<1x128xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<1x128xf32>) outs(%y : memref<1x128xf32>) {
  ^bb0(%a: f32, %o: f32):
    %e = math.exp %a : f32
    %l = math.log %a : f32
    %q = math.sqrt %l : f32
    %s = arith.subf %e, %q : f32
    linalg.yield %s : f32
  }
  return
}

// Where the result's buffer is also read, only the last command writes it.
// CHECK-LABEL: func.func @read_too
// CHECK: %[[T:.*]] = memref.alloc() : memref<1x128xf32>
// CHECK-NEXT: "mtia.simd_unary"(%arg0, %[[T]]) {kind = "exp"}
// CHECK-NEXT: "mtia.simd_binary"(%[[T]], %arg1, %arg1) {kind = "sub"}
// CHECK-NEXT: return
func.func @read_too(%x: memref<1x128xf32>, %y: memref<1x128xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<1x128xf32>) outs(%y : memref<1x128xf32>) {
  ^bb0(%a: f32, %o: f32):
    %e = math.exp %a : f32
    %s = arith.subf %e, %o : f32
    linalg.yield %s : f32
  }
  return
}

// A value that a later command needs again is not overwritten.
// CHECK-LABEL: func.func @needed_again
// CHECK: %[[T:.*]] = memref.alloc() : memref<1x128xf32>
// CHECK-NEXT: "mtia.simd_unary"(%arg0, %[[T]]) {kind = "exp"}
// CHECK-NEXT: "mtia.simd_unary"(%[[T]], %arg1) {kind = "sqrt"}
// CHECK-NEXT: "mtia.simd_binary"(%arg1, %[[T]], %arg1) {kind = "sub"}
// CHECK-NEXT: return
func.func @needed_again(%x: memref<1x128xf32>, %y: memref<1x128xf32>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<1x128xf32>) outs(%y : memref<1x128xf32>) {
  ^bb0(%a: f32, %o: f32):
    %e = math.exp %a : f32
    %q = math.sqrt %e : f32
    %s = arith.subf %q, %e : f32
    linalg.yield %s : f32
  }
  return
}

// A value that is only narrowed is stored narrow by the command that computes it, with one rounding.
// CHECK-LABEL: func.func @narrow
// CHECK: %[[T:.*]] = memref.alloc() : memref<1x128xf32>
// CHECK-NEXT: "mtia.simd_unary"(%arg0, %[[T]]) {kind = "exp"}
// CHECK-NEXT: "mtia.simd_unary"(%[[T]], %arg1) {kind = "sqrt"} : (memref<1x128xf32>, memref<1x128xf16>)
// CHECK-NEXT: return
func.func @narrow(%x: memref<1x128xf32>, %y: memref<1x128xf16>) {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<1x128xf32>) outs(%y : memref<1x128xf16>) {
  ^bb0(%a: f32, %o: f16):
    %e = math.exp %a : f32
    %q = math.sqrt %e : f32
    %n = arith.truncf %q : f32 to f16
    linalg.yield %n : f16
  }
  return
}

// A product that is only added is one command with the sum; a product that is also used otherwise is not.
// CHECK-LABEL: func.func @fused
// CHECK: "mtia.simd_ternary"(%arg0, %arg0, %arg1, %arg2) {kind = "fma"}
// CHECK: "mtia.simd_binary"(%arg0, %arg0, %[[M:.*]]) {kind = "mul"}
// CHECK-NEXT: "mtia.simd_binary"(%[[M]], %arg1, %arg3) {kind = "add"}
// CHECK-NEXT: "mtia.simd_binary"(%arg3, %[[M]], %arg3) {kind = "div"}
func.func @fused(%x: memref<1x128xf32>, %z: memref<1x128xf32>, %y: memref<1x128xf32>, %w: memref<1x128xf32>) {
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<1x128xf32>, memref<1x128xf32>) outs(%y : memref<1x128xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %a : f32
    %s = arith.addf %m, %b : f32
    linalg.yield %s : f32
  }
  linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %z : memref<1x128xf32>, memref<1x128xf32>) outs(%w : memref<1x128xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %m = arith.mulf %a, %a : f32
    %s = arith.addf %m, %b : f32
    %d = arith.divf %s, %m : f32
    linalg.yield %d : f32
  }
  return
}
