// RUN: %mtiac opt --pass=lower-pe-to-llvm --target=mtia300 %s | %filecheck %s
// RUN: %mtiac opt --from=pe --to=ll --target=mtia300 %s | %filecheck %s --check-prefix=LL

// The kernel becomes the entry that finds its arguments in the launch block.
// CHECK-LABEL: llvm.func @_start_scale(%arg0: i64)
// CHECK-DAG: llvm.mlir.constant(32 : i64)
// CHECK-DAG: llvm.mlir.constant(40 : i64)
// LL-LABEL: define void @_start_scale(i64 %0) #0
func.func @scale(%x: memref<?xf32, 1>, %s: f32, %n: i64) attributes {mtia.vector = true} {
  %c0 = arith.constant 0 : index
  %a = arith.constant 268500992 : i64
  %m = "pe.view"(%a) : (i64) -> memref<16xf32>
  %v = vector.load %m[%c0] : memref<16xf32>, vector<16xf32>
  %b = vector.broadcast %s : f32 to vector<16xf32>
  %w = arith.mulf %v, %b : vector<16xf32>
  vector.store %w, %m[%c0] : memref<16xf32>, vector<16xf32>
  // An instruction is a call named after its word: xm.td.off td3, a0.
  // CHECK: llvm.call @xm.td.off.{{[0-9a-f]+}}(%{{[0-9]+}}) : (i64) -> ()
  // LL: call riscv_vector_cc void (i64, i32, ptr, i32, ...) @llvm.experimental.patchpoint.void(i64 {{[0-9]+}}, i32 4, ptr null, i32 1, i64 %{{[0-9]+}})
  "pe.td_off"(%n) {td = 3 : i64} : (i64) -> ()
  // CHECK: %[[R:.*]] = llvm.call @xm.rdinfo.{{[0-9a-f]+}}() : () -> i64
  // LL: call riscv_vector_cc i64 (i64, i32, ptr, i32, ...) @llvm.experimental.patchpoint.i64(i64 {{[0-9]+}}, i32 4, ptr null, i32 0)
  %r = "pe.rdinfo"() {k = 1 : i64} : () -> i64
  %i = arith.index_cast %r : i64 to index
  // Device memory is an address like any other for the hart.
  // LL-NOT: addrspace
  %e = memref.load %x[%i] : memref<?xf32, 1>
  memref.store %e, %m[%c0] : memref<16xf32>
  return
}
// LL: attributes #0 = { nounwind {{.*}}"target-features"="+m,{{.*}}+v,{{.*}}" vscale_range(8,8) }
