// RUN: %mtiac opt --from=ttir --to=linalg %s | %filecheck %s
// Remainders and quotients of places, first + 0 … 7. Where these provably lie between two multiples, only `first` is
// divided; where they may cross one, remainders are a transfer or a list of rows, and quotients are computed.

// Program times 8 is a multiple of 8 and not negative.
// CHECK-LABEL: func.func @eights
// CHECK: %[[FIRST:.*]] = arith.index_cast
// CHECK-NEXT: %[[AT:.*]] = arith.remsi %[[FIRST]], %c24
// CHECK-NOT: scf.
// CHECK: memref.reinterpret_cast %arg0 to offset: [%[[AT]]], sizes: [8], strides: [1]
// CHECK: "mtia.dma_in"
// CHECK-NOT: scf.
// CHECK: return
tt.func public @eights(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32) {
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %pid = tt.get_program_id x : i32
  %first = arith.muli %pid, %c8 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %two = arith.constant dense<2> : tensor<8xi32>
  %apart = arith.muli %lane, %two : tensor<8xi32>
  %s = tt.splat %first : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %by = arith.constant dense<24> : tensor<8xi32>
  %r = arith.remsi %at, %by : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @eights_quotient
// CHECK: %[[FIRST:.*]] = arith.index_cast
// CHECK-NEXT: %[[AT:.*]] = arith.divsi %[[FIRST]], %c24
// CHECK-NOT: scf.
// CHECK: "mtia.dma_in"
// CHECK-NOT: scf.
// CHECK: return
tt.func public @eights_quotient(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32) {
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %pid = tt.get_program_id x : i32
  %first = arith.muli %pid, %c8 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %two = arith.constant dense<2> : tensor<8xi32>
  %apart = arith.muli %lane, %two : tensor<8xi32>
  %s = tt.splat %first : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %by = arith.constant dense<24> : tensor<8xi32>
  %r = arith.divsi %at, %by : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %c = tt.addptr %a, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %c : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// So is a sum of such,
// CHECK-LABEL: func.func @sum
// CHECK: %[[FIRST:.*]] = arith.index_cast
// CHECK-NEXT: %[[AT:.*]] = arith.remsi %[[FIRST]], %c24
// CHECK-NOT: scf.
// CHECK: memref.reinterpret_cast %arg0 to offset: [%[[AT]]], sizes: [8], strides: [1]
// CHECK: "mtia.dma_in"
// CHECK-NOT: scf.
// CHECK: return
tt.func public @sum(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32) {
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %pid = tt.get_program_id x : i32
  %m = arith.muli %pid, %c8 : i32
  %first = arith.addi %m, %c16 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %two = arith.constant dense<2> : tensor<8xi32>
  %apart = arith.muli %lane, %two : tensor<8xi32>
  %s = tt.splat %first : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %by = arith.constant dense<24> : tensor<8xi32>
  %r = arith.remsi %at, %by : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// or the smaller of two numbers, times 8.
// CHECK-LABEL: func.func @least
// CHECK: %[[FIRST:.*]] = arith.index_cast
// CHECK-NEXT: %[[AT:.*]] = arith.remsi %[[FIRST]], %c24
// CHECK-NOT: scf.
// CHECK: memref.reinterpret_cast %arg0 to offset: [%[[AT]]], sizes: [8], strides: [1]
// CHECK: "mtia.dma_in"
// CHECK-NOT: scf.
// CHECK: return
tt.func public @least(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32) {
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %pid = tt.get_program_id x : i32
  %m = arith.minsi %pid, %c4 : i32
  %first = arith.muli %m, %c8 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %two = arith.constant dense<2> : tensor<8xi32>
  %apart = arith.muli %lane, %two : tensor<8xi32>
  %s = tt.splat %first : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %by = arith.constant dense<24> : tensor<8xi32>
  %r = arith.remsi %at, %by : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// Eight places can cross a multiple of 20;
// CHECK-LABEL: func.func @odd_period
// CHECK: scf.if
// CHECK: "mtia.dma_in_indexed"
tt.func public @odd_period(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32) {
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %pid = tt.get_program_id x : i32
  %first = arith.muli %pid, %c8 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %two = arith.constant dense<2> : tensor<8xi32>
  %apart = arith.muli %lane, %two : tensor<8xi32>
  %s = tt.splat %first : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %by = arith.constant dense<20> : tensor<8xi32>
  %r = arith.remsi %at, %by : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @odd_period_quotient
// CHECK: arith.divsi %{{.*}} : {{i32|tensor<8xi32>}}
tt.func public @odd_period_quotient(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32) {
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %pid = tt.get_program_id x : i32
  %first = arith.muli %pid, %c8 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %two = arith.constant dense<2> : tensor<8xi32>
  %apart = arith.muli %lane, %two : tensor<8xi32>
  %s = tt.splat %first : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %by = arith.constant dense<20> : tensor<8xi32>
  %r = arith.divsi %at, %by : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %c = tt.addptr %a, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %c : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// so they can from a multiple of 4,
// CHECK-LABEL: func.func @fours
// CHECK: scf.if
// CHECK: "mtia.dma_in_indexed"
tt.func public @fours(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32) {
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %pid = tt.get_program_id x : i32
  %first = arith.muli %pid, %c4 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %two = arith.constant dense<2> : tensor<8xi32>
  %apart = arith.muli %lane, %two : tensor<8xi32>
  %s = tt.splat %first : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %by = arith.constant dense<24> : tensor<8xi32>
  %r = arith.remsi %at, %by : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @some_fours
// CHECK: scf.if
// CHECK: "mtia.dma_in_indexed"
tt.func public @some_fours(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32) {
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %pid = tt.get_program_id x : i32
  %m = arith.muli %pid, %c8 : i32
  %first = arith.addi %m, %c4 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %two = arith.constant dense<2> : tensor<8xi32>
  %apart = arith.muli %lane, %two : tensor<8xi32>
  %s = tt.splat %first : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %by = arith.constant dense<24> : tensor<8xi32>
  %r = arith.remsi %at, %by : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// and a number that may be negative has other remainders.
// CHECK-LABEL: func.func @unknown
// CHECK: scf.if
// CHECK: "mtia.dma_in_indexed"
tt.func public @unknown(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32) {
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %pid = tt.get_program_id x : i32
  %first = arith.muli %n, %c8 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %two = arith.constant dense<2> : tensor<8xi32>
  %apart = arith.muli %lane, %two : tensor<8xi32>
  %s = tt.splat %first : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %by = arith.constant dense<24> : tensor<8xi32>
  %r = arith.remsi %at, %by : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @difference
// CHECK: scf.if
// CHECK: "mtia.dma_in_indexed"
tt.func public @difference(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32) {
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %pid = tt.get_program_id x : i32
  %m = arith.muli %pid, %c8 : i32
  %first = arith.subi %m, %c16 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %two = arith.constant dense<2> : tensor<8xi32>
  %apart = arith.muli %lane, %two : tensor<8xi32>
  %s = tt.splat %first : i32 -> tensor<8xi32>
  %at = arith.addi %s, %lane : tensor<8xi32>
  %by = arith.constant dense<24> : tensor<8xi32>
  %r = arith.remsi %at, %by : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// Places that are two apart reach further.
// CHECK-LABEL: func.func @apart
// CHECK: arith.remsi %{{.*}} : {{i32|tensor<8xi32>}}
tt.func public @apart(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32) {
  %c4 = arith.constant 4 : i32
  %c8 = arith.constant 8 : i32
  %c16 = arith.constant 16 : i32
  %pid = tt.get_program_id x : i32
  %first = arith.muli %pid, %c8 : i32
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %two = arith.constant dense<2> : tensor<8xi32>
  %apart = arith.muli %lane, %two : tensor<8xi32>
  %s = tt.splat %first : i32 -> tensor<8xi32>
  %at = arith.addi %s, %apart : tensor<8xi32>
  %by = arith.constant dense<24> : tensor<8xi32>
  %r = arith.remsi %at, %by : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}
