// RUN: %mtiac opt --pass=select-engines --target=mtia300 %s | %filecheck %s
// What moves data: DMA to and from device memory; inside a PE the SIMD engine where it has the type, the memory layout
// unit 8-bit floats, whose NaN that would rewrite, the hart what no unit has; the reduction engine out of accumulators.

// CHECK-LABEL: func.func @copies
// CHECK: "mtia.simd_unary"(%{{.*}}) {kind = "cvt"} : (memref<1x128xf16{{.*}}>, memref<1x128xf16{{.*}}>)
// CHECK: "mtia.copy"(%{{.*}}) : (memref<1x128xf8E5M2FNUZ{{.*}}>, memref<1x128xf8E5M2FNUZ{{.*}}>)
// CHECK: scf.for
// CHECK: memref.load %arg4
// CHECK: "mtia.re_drain"(%{{.*}}) : (memref<1x128xf32, 2>, memref<1x128xf32>)
func.func @copies(%a: memref<8x16xf16>, %b: memref<8x16xf16>, %e: memref<8x16xf8E5M2FNUZ>,
                  %f: memref<8x16xf8E5M2FNUZ>, %i: memref<8x16xi64>, %j: memref<8x16xi64>, %s: memref<1x128xf32, 2>,
                  %t: memref<1x128xf32>) {
  memref.copy %a, %b : memref<8x16xf16> to memref<8x16xf16>
  memref.copy %e, %f : memref<8x16xf8E5M2FNUZ> to memref<8x16xf8E5M2FNUZ>
  memref.copy %i, %j : memref<8x16xi64> to memref<8x16xi64>
  memref.copy %s, %t : memref<1x128xf32, 2> to memref<1x128xf32>
  return
}

// CHECK-LABEL: func.func @transposes
// CHECK: "mtia.transpose"(%arg0, %arg1)
// A transpose that keeps what is contiguous in its place is a copy of rows.
// CHECK: scf.for
// CHECK: "mtia.copy"(%{{.*}}) : (memref<4x32xf16, {{.*}}>, memref<4x32xf16, {{.*}}>)
// What the unit has no type for is the hart's.
// CHECK: scf.for
// CHECK: memref.load %arg4
func.func @transposes(%a: memref<16x32xf16>, %b: memref<32x16xf16>, %c: memref<4x8x32xf16>, %d: memref<8x4x32xf16>,
                      %e: memref<16x32xf64>, %f: memref<32x16xf64>) {
  linalg.transpose ins(%a : memref<16x32xf16>) outs(%b : memref<32x16xf16>) permutation = [1, 0]
  linalg.transpose ins(%c : memref<4x8x32xf16>) outs(%d : memref<8x4x32xf16>) permutation = [1, 0, 2]
  linalg.transpose ins(%e : memref<16x32xf64>) outs(%f : memref<32x16xf64>) permutation = [1, 0]
  return
}

// A part of a tile of dynamic size is the whole tile with a valid range; its window begins so that the part comes to its
// place in the tile, 3 rows further on.
// CHECK-LABEL: func.func @parts
// CHECK: %[[T:.*]] = memref.alloc() : memref<16x32xf16>
// CHECK: %[[ROWS:.*]] = arith.constant 3 : index
// CHECK: %[[END:.*]] = arith.addi %[[ROWS]], %arg1
// CHECK: %[[BACK:.*]] = arith.muli
// CHECK: %[[START:.*]] = arith.subi %{{.*}}, %[[BACK]]
// CHECK: %[[G:.*]] = memref.reinterpret_cast %arg0 to offset: [%[[START]]], sizes: [16, 32], strides: [64, 1]
// CHECK: "mtia.dma_in"(%[[G]], %[[T]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {operandSegmentSizes = array<i32: 1, 1, 2, 2, 0>}
// CHECK: "mtia.dma_out"(%[[T]], %arg2) {operandSegmentSizes = array<i32: 1, 1, 0, 0>}
func.func @parts(%g: memref<?xf16, 1>, %n: index, %o: memref<16x32xf16, strided<[32, 1]>, 1>) {
  %t = memref.alloc() : memref<16x32xf16>
  %v = memref.reinterpret_cast %g to offset: [640], sizes: [%n, 32], strides: [64, 1] : memref<?xf16, 1> to memref<?x32xf16, strided<[64, 1], offset: 640>, 1>
  %p = memref.subview %t[3, 0] [%n, 32] [1, 1] : memref<16x32xf16> to memref<?x32xf16, strided<[32, 1], offset: 96>>
  memref.copy %v, %p : memref<?x32xf16, strided<[64, 1], offset: 640>, 1> to memref<?x32xf16, strided<[32, 1], offset: 96>>
  memref.copy %t, %o : memref<16x32xf16> to memref<16x32xf16, strided<[32, 1]>, 1>
  return
}
