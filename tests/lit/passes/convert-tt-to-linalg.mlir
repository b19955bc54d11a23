// RUN: %mtiac opt --from=ttir --to=linalg %s | %filecheck %s

// A masked block is one transfer with a valid range; the mask is never computed as a tensor.
// CHECK-LABEL: func.func @range
// CHECK-SAME: (%[[P:.*]]: memref<?xf32, 1>, %[[N:.*]]: i32)
tt.func public @range(%p: !tt.ptr<f32>, %n: i32) {
  %cst = arith.constant dense<1.000000e+00> : tensor<8xf32>
  %c8 = arith.constant 8 : i32
  %pid = tt.get_program_id x : i32
  %start = arith.muli %pid, %c8 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %start : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %limit = tt.splat %n : i32 -> tensor<8xi32>
  %mask = arith.cmpi slt, %at, %limit : tensor<8xi32>
  %base = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %ptrs = tt.addptr %base, %at : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  // CHECK-NOT: tensor<8xi1>
  // CHECK: %[[LEFT:.*]] = arith.subi
  // CHECK: arith.maxsi %[[LEFT]]
  // CHECK: %[[HI:.*]] = arith.minsi
  // CHECK: %[[BUF:.*]] = memref.alloc() : memref<8xf32>
  // CHECK: %[[VIEW:.*]] = memref.reinterpret_cast %[[P]] to offset: [%{{.*}}], sizes: [8], strides: [1]
  // CHECK: "mtia.dma_in"(%[[VIEW]], %[[BUF]], %{{.*}}, %[[HI]], %{{.*}}) {{.*}}index, index, f32) -> ()
  // CHECK: bufferization.to_tensor %[[BUF]] restrict writable
  %x = tt.load %ptrs, %mask, %cst : tensor<8x!tt.ptr<f32>>
  // CHECK: "mtia.dma_out"
  tt.store %ptrs, %x, %mask : tensor<8x!tt.ptr<f32>>
  tt.return
}

// A mask over two dimensions, lower and upper bounds: one range each.
// CHECK-LABEL: func.func @two_dimensions
tt.func public @two_dimensions(%p: !tt.ptr<f16>, %m: i32, %n: i32, %stride: i32) {
  %c2 = arith.constant dense<2> : tensor<1x4xi32>
  %r = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %c = tt.make_range {end = 4 : i32, start = 0 : i32} : tensor<4xi32>
  %r2 = tt.expand_dims %r {axis = 1 : i32} : tensor<8xi32> -> tensor<8x1xi32>
  %c1 = tt.expand_dims %c {axis = 0 : i32} : tensor<4xi32> -> tensor<1x4xi32>
  %s = tt.splat %stride : i32 -> tensor<8x1xi32>
  %rs = arith.muli %r2, %s : tensor<8x1xi32>
  %base = tt.splat %p : !tt.ptr<f16> -> tensor<8x1x!tt.ptr<f16>>
  %rows = tt.addptr %base, %rs : tensor<8x1x!tt.ptr<f16>>, tensor<8x1xi32>
  %wide = tt.broadcast %rows : tensor<8x1x!tt.ptr<f16>> -> tensor<8x4x!tt.ptr<f16>>
  %cw = tt.broadcast %c1 : tensor<1x4xi32> -> tensor<8x4xi32>
  %ptrs = tt.addptr %wide, %cw : tensor<8x4x!tt.ptr<f16>>, tensor<8x4xi32>
  %ms = tt.splat %m : i32 -> tensor<8x1xi32>
  %rm = arith.cmpi sle, %r2, %ms : tensor<8x1xi32>
  %cm = arith.cmpi sge, %c1, %c2 : tensor<1x4xi32>
  %rmw = tt.broadcast %rm : tensor<8x1xi1> -> tensor<8x4xi1>
  %cmw = tt.broadcast %cm : tensor<1x4xi1> -> tensor<8x4xi1>
  %mask = arith.andi %rmw, %cmw : tensor<8x4xi1>
  // CHECK-DAG: %[[M:.*]] = arith.index_cast %arg1 : i32 to index
  // CHECK-DAG: %[[S:.*]] = arith.index_cast %arg3 : i32 to index
  // CHECK: arith.addi %[[M]], %c1
  // CHECK: memref.reinterpret_cast %arg0 to offset: [0], sizes: [8, 4], strides: [%[[S]], 1]
  // CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %c0{{.*}}, %c2{{.*}}, %{{.*}}, %c4{{.*}}) {operandSegmentSizes = array<i32: 1, 1, 2, 2, 0>}
  %x = tt.load %ptrs, %mask : tensor<8x4x!tt.ptr<f16>>
  tt.store %ptrs, %x : tensor<8x4x!tt.ptr<f16>>
  tt.return
}

// A pointer that moves in a loop is carried as one offset; its strides do not change.
// CHECK-LABEL: func.func @carried
tt.func public @carried(%p: !tt.ptr<f32>, %out: !tt.ptr<f32>, %n: i32, %step: i32) {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %zero = arith.constant dense<0.000000e+00> : tensor<8xf32>
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %base = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %ptrs = tt.addptr %base, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %by = tt.splat %step : i32 -> tensor<8xi32>
  // CHECK: scf.for {{.*}} iter_args(%[[AT:.*]] = %c0{{.*}}, %[[ACC:.*]] = %{{.*}}) -> (index, tensor<8xf32>)
  // CHECK: memref.reinterpret_cast %arg0 to offset: [%[[AT]]], sizes: [8], strides: [1]
  // CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>}
  %end:2 = scf.for %i = %c0 to %n step %c1 iter_args(%q = %ptrs, %acc = %zero) -> (tensor<8x!tt.ptr<f32>>, tensor<8xf32>) : i32 {
    %x = tt.load %q : tensor<8x!tt.ptr<f32>>
    %sum = arith.addf %acc, %x : tensor<8xf32>
    %next = tt.addptr %q, %by : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
    scf.yield %next, %sum : tensor<8x!tt.ptr<f32>>, tensor<8xf32>
  }
  %o = tt.splat %out : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %os = tt.addptr %o, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %os, %end#1 : tensor<8x!tt.ptr<f32>>
  tt.return
}
