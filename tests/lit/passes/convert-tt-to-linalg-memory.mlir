// RUN: %mtiac opt --from=ttir --to=linalg %s | %filecheck %s
// A mask that compares places with a number is the range of a transfer: from its first element to behind its last.

// CHECK-LABEL: func.func @slt
// CHECK: %[[N:.*]] = arith.index_cast %arg2
// CHECK: %[[LOW:.*]] = arith.maxsi %[[N]], %c0
// CHECK-NEXT: %[[END:.*]] = arith.minsi %[[LOW]], %c8
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %c0{{.*}}, %[[END]])
tt.func public @slt(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32, %c: i1) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %n : i32 -> tensor<8xi32>
  %m = arith.cmpi slt, %lane, %s : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a, %m : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @sle
// CHECK: %[[N:.*]] = arith.index_cast %arg2
// CHECK: %[[M:.*]] = arith.addi %[[N]], %c1
// CHECK: %[[LOW:.*]] = arith.maxsi %[[M]], %c0
// CHECK-NEXT: %[[END:.*]] = arith.minsi %[[LOW]], %c8
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %c0{{.*}}, %[[END]])
tt.func public @sle(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32, %c: i1) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %n : i32 -> tensor<8xi32>
  %m = arith.cmpi sle, %lane, %s : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a, %m : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @sge
// CHECK: %[[N:.*]] = arith.index_cast %arg2
// CHECK: %[[LOW:.*]] = arith.maxsi %[[N]], %c0
// CHECK-NEXT: %[[FIRST:.*]] = arith.minsi %[[LOW]], %c8
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %[[FIRST]], %c8{{.*}})
tt.func public @sge(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32, %c: i1) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %n : i32 -> tensor<8xi32>
  %m = arith.cmpi sge, %lane, %s : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a, %m : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @sgt
// CHECK: %[[N:.*]] = arith.index_cast %arg2
// CHECK: %[[M:.*]] = arith.addi %[[N]], %c1
// CHECK: %[[LOW:.*]] = arith.maxsi %[[M]], %c0
// CHECK-NEXT: %[[FIRST:.*]] = arith.minsi %[[LOW]], %c8
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %[[FIRST]], %c8{{.*}})
tt.func public @sgt(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32, %c: i1) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %n : i32 -> tensor<8xi32>
  %m = arith.cmpi sgt, %lane, %s : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a, %m : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// The number may stand first.
// CHECK-LABEL: func.func @turned_sgt
// CHECK: %[[N:.*]] = arith.index_cast %arg2
// CHECK: %[[LOW:.*]] = arith.maxsi %[[N]], %c0
// CHECK-NEXT: %[[END:.*]] = arith.minsi %[[LOW]], %c8
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %c0{{.*}}, %[[END]])
tt.func public @turned_sgt(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32, %c: i1) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %n : i32 -> tensor<8xi32>
  %m = arith.cmpi sgt, %s, %lane : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a, %m : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @turned_sge
// CHECK: %[[N:.*]] = arith.index_cast %arg2
// CHECK: %[[M:.*]] = arith.addi %[[N]], %c1
// CHECK: %[[LOW:.*]] = arith.maxsi %[[M]], %c0
// CHECK-NEXT: %[[END:.*]] = arith.minsi %[[LOW]], %c8
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %c0{{.*}}, %[[END]])
tt.func public @turned_sge(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32, %c: i1) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %n : i32 -> tensor<8xi32>
  %m = arith.cmpi sge, %s, %lane : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a, %m : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @turned_sle
// CHECK: %[[N:.*]] = arith.index_cast %arg2
// CHECK: %[[LOW:.*]] = arith.maxsi %[[N]], %c0
// CHECK-NEXT: %[[FIRST:.*]] = arith.minsi %[[LOW]], %c8
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %[[FIRST]], %c8{{.*}})
tt.func public @turned_sle(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32, %c: i1) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %n : i32 -> tensor<8xi32>
  %m = arith.cmpi sle, %s, %lane : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a, %m : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// CHECK-LABEL: func.func @turned_slt
// CHECK: %[[N:.*]] = arith.index_cast %arg2
// CHECK: %[[M:.*]] = arith.addi %[[N]], %c1
// CHECK: %[[LOW:.*]] = arith.maxsi %[[M]], %c0
// CHECK-NEXT: %[[FIRST:.*]] = arith.minsi %[[LOW]], %c8
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %[[FIRST]], %c8{{.*}})
tt.func public @turned_slt(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32, %c: i1) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %n : i32 -> tensor<8xi32>
  %m = arith.cmpi slt, %s, %lane : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a, %m : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// One place is a range of one.
// CHECK-LABEL: func.func @equal
// CHECK: %[[N:.*]] = arith.index_cast %arg2
// CHECK: %[[M:.*]] = arith.addi %[[N]], %c1
// CHECK: %[[LOW:.*]] = arith.maxsi %[[N]], %c0
// CHECK-NEXT: %[[FIRST:.*]] = arith.minsi %[[LOW]], %c8
// CHECK: %[[LOW:.*]] = arith.maxsi %[[M]], %c0
// CHECK-NEXT: %[[END:.*]] = arith.minsi %[[LOW]], %c8
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %[[FIRST]], %[[END]])
tt.func public @equal(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32, %c: i1) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %n : i32 -> tensor<8xi32>
  %m = arith.cmpi eq, %lane, %s : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a, %m : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// All but one are not.
// CHECK-LABEL: func.func @unequal
// CHECK-NOT: mtia.dma_in"
// CHECK: memref.load %arg0
// CHECK: "mtia.dma_out"
tt.func public @unequal(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32, %c: i1) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %n : i32 -> tensor<8xi32>
  %m = arith.cmpi ne, %lane, %s : tensor<8xi32>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a, %m : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}

// A condition for all is a range that is empty where it fails.
// CHECK-LABEL: func.func @guarded
// CHECK: %[[N:.*]] = arith.index_cast %arg2
// CHECK: %[[LOW:.*]] = arith.maxsi %[[N]], %c0
// CHECK-NEXT: %[[END:.*]] = arith.minsi %[[LOW]], %c8
// CHECK: %[[LAST:.*]] = arith.select %arg3, %[[END]], %c0
// CHECK: "mtia.dma_in"(%{{.*}}, %{{.*}}, %c0{{.*}}, %[[LAST]])
tt.func public @guarded(%p: !tt.ptr<f32>, %q: !tt.ptr<f32>, %n: i32, %c: i1) {
  %lane = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
  %s = tt.splat %n : i32 -> tensor<8xi32>
  %f = arith.cmpi slt, %lane, %s : tensor<8xi32>
  %g = tt.splat %c : i1 -> tensor<8xi1>
  %m = arith.andi %f, %g : tensor<8xi1>
  %b = tt.splat %p : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %a = tt.addptr %b, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  %x = tt.load %a, %m : tensor<8x!tt.ptr<f32>>
  %d = tt.splat %q : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
  %e = tt.addptr %d, %lane : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
  tt.store %e, %x : tensor<8x!tt.ptr<f32>>
  tt.return
}
