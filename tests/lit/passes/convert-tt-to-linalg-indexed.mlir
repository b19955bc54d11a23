// RUN: %mtiac opt --from=ttir --to=linalg %s | %filecheck %s

// Offsets that wrap: one transfer where the block does not cross the end, else a list of rows.
// CHECK-LABEL: func.func @wrap
tt.func public @wrap(%p: !tt.ptr<f32>, %out: !tt.ptr<f32>, %start: i32, %size: i32) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %start : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %m = tt.splat %size : i32 -> tensor<8xi32>
  %wrapped = arith.remsi %at, %m : tensor<8xi32>
  %base = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %ptrs = tt.addptr %base, %wrapped : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  // CHECK: %[[FIRST:.*]] = arith.remsi
  // CHECK: %[[END:.*]] = arith.addi %[[FIRST]], %c8
  // CHECK: arith.cmpi sle, %[[END]]
  // CHECK: scf.if
  // CHECK: "mtia.dma_in"(
  // CHECK: } else {
  // CHECK: arith.remsi
  // CHECK: "mtia.dma_in_indexed"(
  %x = tt.load %ptrs : tensor<8x!tt.ptr<f32>>
  %o = tt.splat %out : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %os = tt.addptr %o, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %os, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// Rows picked by loaded indices are an indexed transfer; elements under a mask that is no range are a loop.
// CHECK-LABEL: func.func @rows
tt.func public @rows(%p: !tt.ptr<f32>, %index: !tt.ptr<i32>, %n: i32) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %col = tt.make_range {end = 4 : i32, start = 0 : i32} : tensor<4xi32>
  %ib = tt.splat %index : !tt.ptr<i32> -> tensor<8x!tt.ptr<i32>>
  %ip = tt.addptr %ib, %lane : tensor<8x!tt.ptr<i32>>, tensor<8xi32>
  %i = tt.load %ip : tensor<8x!tt.ptr<i32>>
  %i2 = tt.expand_dims %i {axis = 1 : i32} : tensor<8xi32> -> tensor<8x1xi32>
  %iw = tt.broadcast %i2 : tensor<8x1xi32> -> tensor<8x4xi32>
  %c2 = tt.expand_dims %col {axis = 0 : i32} : tensor<4xi32> -> tensor<1x4xi32>
  %cw = tt.broadcast %c2 : tensor<1x4xi32> -> tensor<8x4xi32>
  %at = arith.addi %iw, %cw : tensor<8x4xi32>
  %base = tt.splat %p : !tt.ptr<f32> -> tensor<8x4x!tt.ptr<f32>>
  %rows = tt.addptr %base, %iw : tensor<8x4x!tt.ptr<f32>>, tensor<8x4xi32>
  %ptrs = tt.addptr %rows, %cw : tensor<8x4x!tt.ptr<f32>>, tensor<8x4xi32>
  // CHECK: memref.reinterpret_cast %arg0 to offset: [0], sizes: [8, 4], strides: [1, 1]
  // CHECK: "mtia.dma_in_indexed"({{.*}}memref<8xi32>) -> ()
  %x = tt.load %ptrs : tensor<8x4x!tt.ptr<f32>>
  %limit = tt.splat %n : i32 -> tensor<8xi32>
  %mask = arith.cmpi slt, %i, %limit : tensor<8xi32>
  %ones = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %gather = tt.addptr %ones, %i : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  // CHECK: scf.for %[[I:.*]] = %c0
  // CHECK: scf.if
  // CHECK: memref.load %arg0
  %y = tt.load %gather, %mask : tensor<8x!tt.ptr<f32>>
  tt.store %ptrs, %x : tensor<8x4x!tt.ptr<f32>>
  // CHECK: scf.for
  // CHECK: memref.store %{{.*}}, %arg0
  tt.store %gather, %y, %mask : tensor<8x!tt.ptr<f32>>
  tt.return
}

// Rows that are cut off at a limit: one transfer where the block is whole, else a list of rows.
// CHECK-LABEL: func.func @cut_off
// CHECK-SAME: tt.accesses = ["{{.*}}tt.load: strided or row transfers", "{{.*}}tt.store: strided transfer"]
tt.func public @cut_off(%p: !tt.ptr<f32>, %out: !tt.ptr<f32>, %start: i32, %size: i32) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %start : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %m = tt.splat %size : i32 -> tensor<8xi32>
  %below = arith.cmpi slt, %at, %m : tensor<8xi32>
  %zero = arith.constant dense<0> : tensor<8xi32>
  %kept = arith.select %below, %at, %zero : tensor<8xi1>, tensor<8xi32>
  %base = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %ptrs = tt.addptr %base, %kept : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  // CHECK: %[[END:.*]] = arith.addi %{{.*}}, %c8
  // CHECK: %[[WHOLE:.*]] = arith.cmpi sle, %[[END]]
  // CHECK: scf.if %[[WHOLE]]
  // CHECK: "mtia.dma_in"(
  // CHECK: } else {
  // CHECK: arith.select
  // CHECK: "mtia.dma_in_indexed"(
  %x = tt.load %ptrs : tensor<8x!tt.ptr<f32>>
  %o = tt.splat %out : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %os = tt.addptr %o, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %os, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// Columns that wrap, of a matrix whose columns are contiguous: both transfers write rows of the matrix turned.
// CHECK-LABEL: func.func @turned
tt.func public @turned(%p: !tt.ptr<f32>, %out: !tt.ptr<f32>, %start: i32, %size: i32, %stride: i32) {
  %row = tt.make_range {end = 16 : i32, start = 0 : i32} : tensor<16xi32>
  %col = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %start : i32 -> tensor<8xi32>
  %at = arith.addi %s, %col : tensor<8xi32>
  %m = tt.splat %size : i32 -> tensor<8xi32>
  %wrapped = arith.remsi %at, %m : tensor<8xi32>
  %st = tt.splat %stride : i32 -> tensor<8xi32>
  %steps = arith.muli %wrapped, %st : tensor<8xi32>
  %c2 = tt.expand_dims %steps {axis = 0 : i32} : tensor<8xi32> -> tensor<1x8xi32>
  %cw = tt.broadcast %c2 : tensor<1x8xi32> -> tensor<16x8xi32>
  %r2 = tt.expand_dims %row {axis = 1 : i32} : tensor<16xi32> -> tensor<16x1xi32>
  %rw = tt.broadcast %r2 : tensor<16x1xi32> -> tensor<16x8xi32>
  %offset = arith.addi %rw, %cw : tensor<16x8xi32>
  %base = tt.splat %p : !tt.ptr<f32> -> tensor<16x8x!tt.ptr<f32>>
  %ptrs = tt.addptr %base, %offset : tensor<16x8x!tt.ptr<f32>>, tensor<16x8xi32>
  // CHECK: %[[BUFFER:.*]] = memref.alloc() : memref<8x16xf32>
  // CHECK: scf.if
  // CHECK: sizes: [8, 16], strides: [%{{.*}}, 1]
  // CHECK: "mtia.dma_in"(%{{.*}}, %[[BUFFER]])
  // CHECK: } else {
  // CHECK: sizes: [8, 16], strides: [%{{.*}}, 1]
  // CHECK: "mtia.dma_in_indexed"(%{{.*}}, %[[BUFFER]],
  // CHECK: linalg.transpose
  %x = tt.load %ptrs : tensor<16x8x!tt.ptr<f32>>
  %o = tt.splat %out : !tt.ptr<f32> -> tensor<16x8x!tt.ptr<f32>>
  %os = tt.addptr %o, %offset : tensor<16x8x!tt.ptr<f32>>, tensor<16x8xi32>
  tt.store %os, %x : tensor<16x8x!tt.ptr<f32>>
  tt.return
}

// An indexed transfer has two dimensions: of three, two are rows, and the list says where each begins.
// CHECK-LABEL: func.func @three_dimensions
tt.func public @three_dimensions(%p: !tt.ptr<f32>, %index: !tt.ptr<i32>, %out: !tt.ptr<f32>) {
  %lane = tt.make_range {end = 4 : i32, start = 0 : i32} : tensor<4xi32>
  %ib = tt.splat %index : !tt.ptr<i32> -> tensor<4x!tt.ptr<i32>>
  %ip = tt.addptr %ib, %lane : tensor<4x!tt.ptr<i32>>, tensor<4xi32>
  %i = tt.load %ip : tensor<4x!tt.ptr<i32>>
  %i2 = tt.expand_dims %i {axis = 0 : i32} : tensor<4xi32> -> tensor<1x4xi32>
  %i3 = tt.expand_dims %i2 {axis = 2 : i32} : tensor<1x4xi32> -> tensor<1x4x1xi32>
  %rows = tt.broadcast %i3 : tensor<1x4x1xi32> -> tensor<2x4x8xi32>
  %col = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %c2 = tt.expand_dims %col {axis = 0 : i32} : tensor<8xi32> -> tensor<1x8xi32>
  %c3 = tt.expand_dims %c2 {axis = 0 : i32} : tensor<1x8xi32> -> tensor<1x1x8xi32>
  %cols = tt.broadcast %c3 : tensor<1x1x8xi32> -> tensor<2x4x8xi32>
  %base = tt.splat %p : !tt.ptr<f32> -> tensor<2x4x8x!tt.ptr<f32>>
  %some = tt.addptr %base, %cols : tensor<2x4x8x!tt.ptr<f32>>, tensor<2x4x8xi32>
  %ptrs = tt.addptr %some, %rows : tensor<2x4x8x!tt.ptr<f32>>, tensor<2x4x8xi32>
  // CHECK: %[[LIST:.*]] = tensor.collapse_shape %{{.*}} {{\[\[0, 1\]\]}} : tensor<4x2xi32> into tensor<8xi32>
  // CHECK: sizes: [8, 8], strides: [1, 1]
  // CHECK: %[[ROWS:.*]] = bufferization.to_buffer %[[LIST]] read_only
  // CHECK: "mtia.dma_in_indexed"(%{{.*}}, %{{.*}}, %[[ROWS]]) {{.*}} memref<8x8xf32>, memref<8xi32>) -> ()
  // CHECK: linalg.transpose ins(%{{.*}} : tensor<4x2x8xf32>) outs(%{{.*}} : tensor<2x4x8xf32>) permutation = [1, 0, 2]
  %x = tt.load %ptrs : tensor<2x4x8x!tt.ptr<f32>>
  %os = tt.splat %out : !tt.ptr<f32> -> tensor<2x4x8x!tt.ptr<f32>>
  %op = tt.addptr %os, %cols : tensor<2x4x8x!tt.ptr<f32>>, tensor<2x4x8xi32>
  tt.store %op, %x : tensor<2x4x8x!tt.ptr<f32>>
  tt.return
}
