// RUN: %mtiac opt --pass=lower-pe-to-llvm --target=mtia200 %s | %filecheck %s
// RUN: %mtiac opt --pass=lower-pe-to-llvm --target=mtia300 %s | %filecheck %s --check-prefix=ALL

// Hart A of MTIA 200 has no vector unit: it must not even reach the prologue of vector code.
// CHECK-LABEL: llvm.func @_start_k(%arg0: i64, %arg1: i64, %arg2: i64)
// CHECK: %[[MASK:.*]] = llvm.lshr %{{.*}}, %arg2 : i64
// CHECK: llvm.trunc %[[MASK]] : i64 to i1
// CHECK: llvm.cond_br
// CHECK: llvm.call @_start_k.vector(%arg0) : (i64) -> ()
// CHECK-LABEL: llvm.func @_start_k.vector(%arg0: i64)
// ALL-NOT: vector(
// ALL: llvm.func @_start_k(%arg0: i64)
func.func @k() attributes {mtia.vector = true} {
  return
}
