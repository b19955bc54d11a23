// RUN: %mtiac opt --pipeline "builtin.module(canonicalize,func.func(linalg-generalize-named-ops),canonicalize,cse)" %s > %t.mlir
// RUN: %mtiac opt --pass=spread --target=mtia300 %t.mlir | %filecheck %s
// RUN: not %mtiac opt --pass=spread %s 2>&1 | %filecheck %s --check-prefix=NAMED

// A product with its bias is one kernel over device memory; its programs are tiles of the result.
// CHECK-NOT: func.func @main
// CHECK: func.func @phase0(%arg0: memref<?xf16, 1>, %arg1: memref<?xf16, 1>, %arg2: memref<?xf16, 1>, %arg3: memref<?xf16, 1>)
// CHECK: %[[PID:.*]] = "mtia.program_id"()
// CHECK: %[[COLUMN:.*]] = arith.remui %[[PID]]
// CHECK: %[[ROW:.*]] = arith.divui %[[PID]]
// CHECK: %[[ACC:.*]] = memref.alloc() : memref<[[M:[0-9]+]]x[[N:[0-9]+]]xf32>
// CHECK: linalg.fill ins(%{{.*}} : f32) outs(%[[ACC]]
// The tile at the edge is cut off by valid ranges.
// CHECK: "mtia.dma_in"(%{{.*}}, %[[A:.*]], %c0, %c0, %[[ROWS:[0-9]+]], %c96)
// CHECK: "mtia.dma_in"(%{{.*}}, %[[B:.*]], %c0, %c0, %c96, %[[COLUMNS:[0-9]+]])
// CHECK: linalg.matmul ins(%[[A]], %[[B]] : memref<[[M]]x96xf16>, memref<96x[[N]]xf16>) outs(%[[ACC]]
// The bias is added as the accumulators are read, after the product is rounded as the model says.
// CHECK: linalg.generic
// CHECK: arith.truncf
// CHECK: arith.addf %{{.*}}, %{{.*}} : f16
// CHECK: "mtia.dma_out"(%{{.*}}, %{{.*}}, %c0, %c0, %[[ROWS]], %[[COLUMNS]])
// CHECK-NOT: func.func

// NAMED: spread.mlir:{{[0-9]+}}: error: no lowering for 'linalg.fill'

#same = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>

func.func @main(%x: tensor<100x96xf16>, %w: tensor<96x200xf16>, %b: tensor<200xf16>) -> tensor<100x200xf16> {
  %zero = arith.constant 0.0 : f16
  %e = tensor.empty() : tensor<100x200xf16>
  %z = linalg.fill ins(%zero : f16) outs(%e : tensor<100x200xf16>) -> tensor<100x200xf16>
  %p = linalg.matmul ins(%x, %w : tensor<100x96xf16>, tensor<96x200xf16>) outs(%z : tensor<100x200xf16>) -> tensor<100x200xf16>
  %r = linalg.generic {indexing_maps = [#same, #row, #same], iterator_types = ["parallel", "parallel"]}
      ins(%p, %b : tensor<100x200xf16>, tensor<200xf16>) outs(%e : tensor<100x200xf16>) {
  ^bb0(%u: f16, %v: f16, %o: f16):
    %s = arith.addf %u, %v : f16
    linalg.yield %s : f16
  } -> tensor<100x200xf16>
  return %r : tensor<100x200xf16>
}
