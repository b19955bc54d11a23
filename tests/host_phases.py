"""Runs phases on the host through MLIR's own CPU lowering: DMA as copy loops, the program id as an argument.

An oracle for `spread` alone: none of our passes behind it, no machine, and nothing of it is device work.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
from mtia.dialects.mlir import arith, ir, memref, run_passes, scf
from mtia.isa.plan import Plan
from numpy.typing import NDArray
from torch_mlir.execution_engine import ExecutionEngine

NUMPY = {
    "f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "i64": np.int64,
    "i32": np.int32, "i16": np.int16, "i8": np.int8, "ui8": np.uint8, "i1": np.bool_,
}  # fmt: skip

LOWER = (
    "builtin.module(func.func(convert-linalg-to-loops),canonicalize,func.func(arith-expand{include-bf16=true}),"
    "expand-strided-metadata,lower-affine,convert-scf-to-cf,convert-math-to-llvm,convert-math-to-libm,"
    "finalize-memref-to-llvm,convert-arith-to-llvm,convert-cf-to-llvm,convert-func-to-llvm,reconcile-unrealized-casts)"
)
LIBM = "/lib/x86_64-linux-gnu/libm.so.6"


def _index(value: int) -> Any:
    return arith.ConstantOp(ir.IndexType.get(), value).result


def _copy_loops(op: Any, source: Any, target: Any, inward: bool) -> None:
    local = target if inward else source
    shape = list(local.type.shape)
    lows, highs = list(op.lo), list(op.hi)

    def nest(position: int, at: list[Any]) -> None:
        if position < len(shape):
            loop = scf.ForOp(_index(0), _index(shape[position]), _index(1), [])
            with ir.InsertionPoint(loop.body):
                nest(position + 1, [*at, loop.induction_variable])
                scf.YieldOp([])
            return
        inside = arith.ConstantOp(ir.IntegerType.get_signless(1), 1).result
        for low, high, index in zip(lows, highs, at, strict=False):
            above = arith.CmpIOp(arith.CmpIPredicate.sge, index, low).result
            below = arith.CmpIOp(arith.CmpIPredicate.slt, index, high).result
            inside = arith.AndIOp(inside, arith.AndIOp(above, below).result).result
        branch = scf.IfOp(inside, has_else=inward)
        with ir.InsertionPoint(branch.then_block):
            memref.StoreOp(memref.LoadOp(source, at).result, target, at)
            scf.YieldOp([])
        if inward:
            with ir.InsertionPoint(branch.else_block):
                kind = local.type.element_type
                zero = ir.IntegerAttr.get(kind, 0) if isinstance(kind, ir.IntegerType) else ir.FloatAttr.get(kind, 0)
                fill = op.fill if op.fill is not None else arith.ConstantOp(kind, zero).result
                memref.StoreOp(fill, target, at)
                scf.YieldOp([])

    nest(0, [])


def host_kernel(module: Any) -> Any:
    """A callable `(program, buffers)` for one kernel module (which stays as it is)."""
    with module.context, ir.Location.unknown():
        copy = ir.Module.parse(str(module))
        function = copy.body.operations[0]
        name = ir.StringAttr(function.attributes["sym_name"]).value
        block = function.regions[0].blocks[0]
        program = block.add_argument(ir.IndexType.get(), ir.Location.unknown())
        kinds = [argument.type for argument in block.arguments]
        function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(kinds, []))
        function.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
        found: list[Any] = []
        copy.operation.walk(lambda op: (found.append(op.opview), ir.WalkResult.ADVANCE)[1])
        for op in found:
            if not op.operation.name.startswith("mtia."):
                continue
            with ir.InsertionPoint(op):
                if op.operation.name == "mtia.program_id":
                    op.results[0].replace_all_uses_with(program)
                else:
                    inward = op.operation.name == "mtia.dma_in"
                    _copy_loops(op, op.src, op.dst, inward)
            op.operation.erase()
        text = re.sub(r", 1>(?=[^>]*)", ">", str(copy))
        plain = ir.Module.parse(text)
        run_passes(plain, LOWER)
        engine = ExecutionEngine(plain, shared_libs=[LIBM])

    def call(number: int, buffers: list[NDArray[Any]]) -> None:
        descriptors = []
        for array in buffers:
            fields = np.array([array.ctypes.data, array.ctypes.data, 0, array.size, 1], dtype=np.int64)
            descriptors.append(fields)
        pointers = [ctypes.pointer(ctypes.c_void_p(fields.ctypes.data)) for fields in descriptors]
        index = ctypes.pointer(ctypes.c_int64(number))
        engine.invoke(name, *pointers, index)

    return call


def run_on_host(
    kernels: Mapping[str, Any], plan: Plan, values: Mapping[str, NDArray[Any]], inputs: list[NDArray[Any]]
) -> list[NDArray[Any]]:
    """All tensors of the plan after a run; `values` are parameters and constants by name."""
    compiled = {name: host_kernel(module) for name, module in kernels.items()}
    memory: list[NDArray[Any]] = []
    feed = iter(inputs)
    for spec in plan.tensors:
        dtype = np.dtype(NUMPY[spec.dtype])
        if spec.kind in ("param", "const"):
            memory.append(np.ascontiguousarray(values[spec.name]).astype(dtype).reshape(spec.shape))
        elif spec.kind == "input":
            memory.append(np.ascontiguousarray(next(feed)).astype(dtype).reshape(spec.shape))
        else:
            memory.append(np.full(spec.shape, 77, dtype))
    for call in plan.phases:
        for program in range(call.grid):
            compiled[call.kernel](program, [memory[number] for number in call.args])
    return memory
