// RUN: %mtiac opt --pass=plan-local-memory --target=mtia300 %s | %filecheck %s
// RUN: %mtiac opt --pass=plan-local-memory,lower-tiles-to-pe --target=mtia300 %s | %filecheck %s --check-prefix=PE

// The program loop: hart h of H runs programs h, h + H, …; x runs fastest.
// CHECK-LABEL: func.func @kernel
// CHECK-SAME: mtia_circular_buffers = [array<i64: 0, 0, 8192, 4096, 8>, array<i64: 1, 0, 40960, 4096, 2>, array<i64: 2, 0, 49152, 8192, 1>]
// CHECK: %[[RANK:.*]] = "pe.rdinfo"() {k = 0 : i64}
// CHECK: scf.for %[[PID:.*]] = %{{.*}} to %{{.*}} step %{{.*}} {
// CHECK: arith.remui
// Buffers that DMA fills have slots enough to hide device memory, scratch of the SIMD engine has one.
// CHECK: memref.alloc() {mtia.cb = 0 : i64, mtia.offset = 0 : i64} : memref<1x1024xf32>
// CHECK: "mtia.dma_in"
// CHECK: memref.alloc() {mtia.cb = 2 : i64, mtia.offset = 0 : i64} : memref<1x1024xf32>
// CHECK: memref.alloc() {mtia.cb = 2 : i64, mtia.offset = 4096 : i64} : memref<1x1024xf32>
// CHECK: memref.alloc() {mtia.cb = 1 : i64, mtia.offset = 0 : i64} : memref<1x1024xf32>
// CHECK: "mtia.dma_out"
// CHECK-NEXT: "mtia.cb_next"() {cb = 0 : i64}
// CHECK-NEXT: "mtia.cb_next"() {cb = 1 : i64}
// CHECK-NOT: "mtia.cb_next"

// What never changes is set before the loop; a turn of the loop sets addresses and issues commands.
// PE-LABEL: func.func @kernel
// PE-COUNT-3: "pe.cb_init"
// PE: "pe.td_local"
// PE: "pe.gd_base"
// PE: scf.for
// PE-NOT: "pe.td_local"
// PE: "pe.gd_addr"
// PE-NEXT: "pe.dma_in"
// PE-NEXT: "pe.se_exp"
// PE-NEXT: "pe.se_sqrt"
// PE-NEXT: "pe.se_add"
// PE: "pe.gd_addr"
// PE-NEXT: "pe.dma_out"
// PE-NEXT: "pe.cb_next"() {cb = 0 : i64}
func.func @kernel(%x: memref<?xf32, 1>, %y: memref<?xf32, 1>) {
  %c1024 = arith.constant 1024 : i32
  %p = "mtia.program_id"() {axis = 0 : i32} : () -> i32
  %o = arith.muli %p, %c1024 : i32
  %i = arith.index_cast %o : i32 to index
  %a = memref.alloc() : memref<1x1024xf32>
  %s = memref.reinterpret_cast %x to offset: [%i], sizes: [1, 1024], strides: [1024, 1] : memref<?xf32, 1> to memref<1x1024xf32, strided<[1024, 1], offset: ?>, 1>
  "mtia.dma_in"(%s, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x1024xf32, strided<[1024, 1], offset: ?>, 1>, memref<1x1024xf32>) -> ()
  %t = memref.alloc() : memref<1x1024xf32>
  "mtia.simd_unary"(%a, %t) {kind = "exp"} : (memref<1x1024xf32>, memref<1x1024xf32>) -> ()
  %u = memref.alloc() : memref<1x1024xf32>
  "mtia.simd_unary"(%a, %u) {kind = "sqrt"} : (memref<1x1024xf32>, memref<1x1024xf32>) -> ()
  %b = memref.alloc() : memref<1x1024xf32>
  "mtia.simd_binary"(%t, %u, %b) {kind = "add"} : (memref<1x1024xf32>, memref<1x1024xf32>, memref<1x1024xf32>) -> ()
  %d = memref.reinterpret_cast %y to offset: [%i], sizes: [1, 1024], strides: [1024, 1] : memref<?xf32, 1> to memref<1x1024xf32, strided<[1024, 1], offset: ?>, 1>
  "mtia.dma_out"(%b, %d) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x1024xf32>, memref<1x1024xf32, strided<[1024, 1], offset: ?>, 1>) -> ()
  return
}

// A scalar of another argument is read at once; of what a loaded address may point to, only memory of the same source is
// waited for; an address that a loop swaps may be either argument; what the hart writes may be a signal.
// CHECK-LABEL: func.func @origins
// CHECK: "mtia.dma_out"
// CHECK-NOT: "mtia.wait"
// CHECK: memref.load %arg0
// CHECK-NOT: "mtia.wait"
// CHECK: "mtia.dma_in"
// CHECK: "mtia.wait"() {units = 2 : i64}
// CHECK-NEXT: "mtia.dma_in"
// CHECK: "mtia.wait"() {units = 2 : i64}
// CHECK-NEXT: memref.store
// CHECK: scf.for
// CHECK: "mtia.wait"() {units = 2 : i64}
// CHECK-NEXT: "mtia.dma_in"
// CHECK: "mtia.dma_out"
func.func @origins(%x: memref<?xi64, 1>, %y: memref<?xi64, 1>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %a = memref.alloc() : memref<64xi32>
  %p = memref.load %x[%c0] : memref<?xi64, 1>
  %q = memref.load %y[%c0] : memref<?xi64, 1>
  %pm = "mtia.memory_at"(%p) : (i64) -> memref<?xi32, 1>
  %qm = "mtia.memory_at"(%q) : (i64) -> memref<?xi32, 1>
  %ps = memref.reinterpret_cast %pm to offset: [0], sizes: [64], strides: [1] : memref<?xi32, 1> to memref<64xi32, strided<[1]>, 1>
  %qs = memref.reinterpret_cast %qm to offset: [0], sizes: [64], strides: [1] : memref<?xi32, 1> to memref<64xi32, strided<[1]>, 1>
  "mtia.dma_in"(%ps, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xi32, strided<[1]>, 1>, memref<64xi32>) -> ()
  "mtia.dma_out"(%a, %ps) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64xi32>, memref<64xi32, strided<[1]>, 1>) -> ()
  %r = memref.load %x[%c1] : memref<?xi64, 1>
  %rm = "mtia.memory_at"(%r) : (i64) -> memref<?xi32, 1>
  %rs = memref.reinterpret_cast %rm to offset: [0], sizes: [64], strides: [1] : memref<?xi32, 1> to memref<64xi32, strided<[1]>, 1>
  "mtia.dma_in"(%qs, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xi32, strided<[1]>, 1>, memref<64xi32>) -> ()
  "mtia.dma_in"(%rs, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xi32, strided<[1]>, 1>, memref<64xi32>) -> ()
  memref.store %r, %y[%c1] : memref<?xi64, 1>
  %u:2 = scf.for %i = %c0 to %n step %c1 iter_args(%l = %p, %m = %q) -> (i64, i64) {
    %lm = "mtia.memory_at"(%l) : (i64) -> memref<?xi32, 1>
    %mm = "mtia.memory_at"(%m) : (i64) -> memref<?xi32, 1>
    %ls = memref.reinterpret_cast %lm to offset: [0], sizes: [64], strides: [1] : memref<?xi32, 1> to memref<64xi32, strided<[1]>, 1>
    %ms = memref.reinterpret_cast %mm to offset: [0], sizes: [64], strides: [1] : memref<?xi32, 1> to memref<64xi32, strided<[1]>, 1>
    "mtia.dma_in"(%ls, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xi32, strided<[1]>, 1>, memref<64xi32>) -> ()
    "mtia.dma_out"(%a, %ms) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64xi32>, memref<64xi32, strided<[1]>, 1>) -> ()
    scf.yield %m, %l : i64, i64
  }
  return
}

// The hart waits before it touches what commands write, and before device memory that was just written is read back.
// CHECK-LABEL: func.func @waits
// CHECK: "mtia.dma_in"
// CHECK: "mtia.hart_wait"(%[[A:.*]]) : (memref<64xi32>)
// CHECK-NEXT: memref.load %[[A]]
// CHECK-NEXT: arith.addi
// CHECK-NEXT: memref.store %{{.*}}, %[[A]]
// CHECK: "mtia.dma_out"
// CHECK: "mtia.wait"() {units = 2 : i64}
// CHECK-NEXT: "mtia.dma_in"
// PE-LABEL: func.func @waits
// PE: "pe.cb_waitw"() {cb = 0 : i64}
// PE-NEXT: memref.load
// PE: "pe.wait"
func.func @waits(%x: memref<?xi32, 1>) {
  %c0 = arith.constant 0 : index
  %a = memref.alloc() : memref<64xi32>
  %s = memref.reinterpret_cast %x to offset: [0], sizes: [64], strides: [1] : memref<?xi32, 1> to memref<64xi32, strided<[1]>, 1>
  "mtia.dma_in"(%s, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xi32, strided<[1]>, 1>, memref<64xi32>) -> ()
  %v = memref.load %a[%c0] : memref<64xi32>
  %w = arith.addi %v, %v : i32
  memref.store %w, %a[%c0] : memref<64xi32>
  "mtia.dma_out"(%a, %s) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64xi32>, memref<64xi32, strided<[1]>, 1>) -> ()
  %b = memref.alloc() : memref<64xi32>
  "mtia.dma_in"(%s, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xi32, strided<[1]>, 1>, memref<64xi32>) -> ()
  "mtia.dma_out"(%b, %s) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64xi32>, memref<64xi32, strided<[1]>, 1>) -> ()
  return
}

// What is still being loaded is waited for before it is stored over, once; a store through another argument is taken to
// be apart, which the kernel says.
// CHECK-LABEL: func.func @overtaken
// CHECK-SAME: mtia.apart = "0,1"
// CHECK: "mtia.dma_in"
// CHECK-NOT: "mtia.wait"
// CHECK: "mtia.dma_out"(%[[Z:[a-z0-9_]*]], %{{.*}})
// CHECK: "mtia.wait"() {units = 1 : i64}
// CHECK-NEXT: "mtia.dma_out"(%[[Z]], %{{.*}})
// CHECK-NOT: "mtia.wait"
// CHECK: "mtia.dma_out"(%[[Z]], %{{.*}})
// CHECK: "mtia.dma_out"
func.func @overtaken(%x: memref<?xf32, 1>, %y: memref<?xf32, 1>) {
  %zero = arith.constant 0.000000e+00 : f32
  %xs = memref.reinterpret_cast %x to offset: [0], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1]>, 1>
  %xt = memref.reinterpret_cast %x to offset: [64], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1], offset: 64>, 1>
  %ys = memref.reinterpret_cast %y to offset: [0], sizes: [64], strides: [1] : memref<?xf32, 1> to memref<64xf32, strided<[1]>, 1>
  %a = memref.alloc() : memref<64xf32>
  %z = memref.alloc() : memref<64xf32>
  "mtia.dma_in"(%xs, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<64xf32, strided<[1]>, 1>, memref<64xf32>) -> ()
  "mtia.fill"(%zero, %z) : (f32, memref<64xf32>) -> ()
  "mtia.dma_out"(%z, %ys) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64xf32>, memref<64xf32, strided<[1]>, 1>) -> ()
  "mtia.dma_out"(%z, %xs) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64xf32>, memref<64xf32, strided<[1]>, 1>) -> ()
  "mtia.dma_out"(%z, %xt) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64xf32>, memref<64xf32, strided<[1], offset: 64>, 1>) -> ()
  "mtia.dma_out"(%a, %ys) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<64xf32>, memref<64xf32, strided<[1]>, 1>) -> ()
  return
}

// A command may write over what it reads for the last time, but not where its elements are wider: the mask of 4 bytes
// and the numbers of 16 need not be told apart by their sizes, which are rounded up to 64.
// CHECK-LABEL: func.func @widened
// CHECK: %[[A:.*]] = memref.alloc() {mtia.cb = [[CB:.*]] : i64, mtia.offset = 0 : i64} : memref<2x2xi32>
// CHECK: %[[M:.*]] = memref.alloc() {mtia.cb = [[CB]] : i64, mtia.offset = 64 : i64} : memref<2x2xi1>
// CHECK: %[[N:.*]] = memref.alloc() {mtia.cb = [[CB]] : i64, mtia.offset = 128 : i64} : memref<2x2xi32>
// CHECK: %[[S:.*]] = memref.alloc() {mtia.cb = [[CB]] : i64, mtia.offset = 0 : i64} : memref<2x2xi32>
func.func @widened(%x: memref<?xi32, 1>) {
  %c1 = arith.constant 1 : index
  %one = arith.constant 1 : i32
  %a = memref.alloc() : memref<2x2xi32>
  "mtia.iota"(%a, %c1, %c1, %c1) : (memref<2x2xi32>, index, index, index) -> ()
  %m = memref.alloc() : memref<2x2xi1>
  "mtia.simd_binary"(%a, %one, %m) {kind = "gt"} : (memref<2x2xi32>, i32, memref<2x2xi1>) -> ()
  %n = memref.alloc() : memref<2x2xi32>
  "mtia.simd_unary"(%m, %n) {kind = "cvt"} : (memref<2x2xi1>, memref<2x2xi32>) -> ()
  %s = memref.alloc() : memref<2x2xi32>
  "mtia.simd_binary"(%n, %a, %s) {kind = "add"} : (memref<2x2xi32>, memref<2x2xi32>, memref<2x2xi32>) -> ()
  %o = memref.alloc() : memref<2x2xi32>
  "mtia.simd_unary"(%s, %o) {kind = "cvt"} : (memref<2x2xi32>, memref<2x2xi32>) -> ()
  %v = memref.reinterpret_cast %x to offset: [0], sizes: [2, 2], strides: [2, 1] : memref<?xi32, 1> to memref<2x2xi32, strided<[2, 1]>, 1>
  "mtia.dma_out"(%o, %v) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<2x2xi32>, memref<2x2xi32, strided<[2, 1]>, 1>) -> ()
  return
}

// Of two branches a program takes one: they use the same circular buffer.
// CHECK-LABEL: func.func @branches
// CHECK-SAME: mtia_circular_buffers = [array<i64: 0, 0, 8192, 4096, 8>]
func.func @branches(%x: memref<1024xf32, 1>, %y: memref<1024xf32, 1>, %c: i1) {
  scf.if %c {
    %a = memref.alloc() : memref<1024xf32>
    "mtia.dma_in"(%x, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1024xf32, 1>, memref<1024xf32>) -> ()
    "mtia.dma_out"(%a, %y) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1024xf32>, memref<1024xf32, 1>) -> ()
  } else {
    %b = memref.alloc() : memref<1024xf32>
    "mtia.dma_in"(%y, %b) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1024xf32, 1>, memref<1024xf32>) -> ()
    "mtia.dma_out"(%b, %x) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1024xf32>, memref<1024xf32, 1>) -> ()
  }
  return
}

// Where the hart stops for an atomic, what its next program begins with is asked for before, in the next slot; only the
// first program asks for its own.
// CHECK-LABEL: func.func @ahead
// CHECK: scf.for %[[N:.*]] = %[[ZERO:.*]] to %[[END:.*]] step
// CHECK: %[[FIRST:.*]] = arith.cmpi eq, %[[N]], %[[ZERO]]
// CHECK-NEXT: scf.if %[[FIRST]] {
// CHECK-NEXT: "mtia.dma_in"
// CHECK: "mtia.simd_unary"
// CHECK: %[[NEXT:.*]] = arith.addi %[[N]]
// CHECK: %[[MORE:.*]] = arith.cmpi slt, %[[NEXT]], %[[END]]
// CHECK-NEXT: scf.if %[[MORE]] {
// CHECK: memref.alloc() {mtia.cb = [[CB:.*]] : i64, mtia.offset = 0 : i64, mtia.slot = 1 : i64}
// CHECK: "mtia.dma_in"
// CHECK: "mtia.wait"
// CHECK: memref.atomic_rmw
// CHECK-NOT: "mtia.dma_in"
// CHECK: "mtia.cb_next"() {cb = [[CB]] : i64}
func.func @ahead(%x: memref<?xf32, 1>, %y: memref<?xf32, 1>, %count: memref<?xi32, 1>) {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1 : i32
  %p = "mtia.program_id"() {axis = 0 : i32} : () -> i32
  %i = arith.index_cast %p : i32 to index
  %a = memref.alloc() : memref<1x64xf32>
  %v = memref.reinterpret_cast %x to offset: [%i], sizes: [1, 64], strides: [64, 1] : memref<?xf32, 1> to memref<1x64xf32, strided<[64, 1], offset: ?>, 1>
  "mtia.dma_in"(%v, %a) {operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>} : (memref<1x64xf32, strided<[64, 1], offset: ?>, 1>, memref<1x64xf32>) -> ()
  %b = memref.alloc() : memref<1x64xf32>
  "mtia.simd_unary"(%a, %b) {kind = "exp"} : (memref<1x64xf32>, memref<1x64xf32>) -> ()
  %w = memref.reinterpret_cast %y to offset: [%i], sizes: [1, 64], strides: [64, 1] : memref<?xf32, 1> to memref<1x64xf32, strided<[64, 1], offset: ?>, 1>
  "mtia.dma_out"(%b, %w) {operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (memref<1x64xf32>, memref<1x64xf32, strided<[64, 1], offset: ?>, 1>) -> ()
  %old = memref.atomic_rmw addi %one, %count[%c0] : (i32, memref<?xi32, 1>) -> i32
  return
}
