"""Tile registers: which operand each describes, and where it is set.

An operand whose description never changes owns a register that is set before the program loop. Others own a register
too, and only what changes (offset, address, valid range, immediate) is set right before the command. When a kernel has
more operands than registers, those of the least inner loops share a few registers that are set in full before each use.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

from mtia.compiler.passes.plan_local_memory import element_bytes
from mtia.compiler.passes.plan_local_memory_ahead import SLOT
from mtia.compiler.passes.select_engines_moves import dynamic_strides
from mtia.compiler.passes.select_engines_views import View, Views, create
from mtia.dialects import pe
from mtia.dialects.mlir import ir
from mtia.isa.xmtia.codes import DType

__all__ = ["Registers"]

COUNT = 32
SHARED = 4  # as many as one command names
WRITE_SIDE = 1
MASK32 = (1 << 32) - 1
DTYPES = {
    "f32": DType.F32,
    "f16": DType.F16,
    "bf16": DType.BF16,
    "f64": DType.F64,
    "f8E4M3FN": DType.E4M3,
    "f8E5M2": DType.E5M2,
    "f8E4M3FNUZ": DType.U8,  # no unit computes on these: they are only moved
    "f8E5M2FNUZ": DType.U8,
    "i1": DType.U8,
    "i8": DType.I8,
    "i16": DType.I16,
    "i32": DType.I32,
    "i64": DType.I64,
    "index": DType.I64,
}
GLOBAL_OPERAND = {
    "mtia.dma_in": 0,
    "mtia.dma_out": 1,
    "mtia.dma_in_indexed": 0,
    "mtia.dma_out_indexed": 1,
    "mtia.prefetch": 0,
}
DESTINATION_FIRST = frozenset(("mtia.dma_in", "mtia.dma_in_indexed", "mtia.dma_out", "mtia.dma_out_indexed"))


@dataclasses.dataclass(frozen=True)
class Local:
    """A view of a circular-buffer slot.

    The offset is None when it changes; `place` then keeps the operands of one command apart.
    """

    cb: int
    dtype: int
    rows: int
    cols: int
    row_stride: int
    col_stride: int
    offset: int | None
    place: int = 0
    slot: int = 0


@dataclasses.dataclass(frozen=True)
class Constant:
    """An immediate of constant bits."""

    dtype: int
    bits: int


@dataclasses.dataclass(frozen=True)
class Immediate:
    """An immediate that the hart computes."""

    value: Any


@dataclasses.dataclass(frozen=True)
class Remote:
    """The device-memory view of one DMA operation."""

    op: Any


Key = Local | Constant | Immediate | Remote


def dtype_of(element: Any) -> DType:
    """The type code of an element type."""
    return DTYPES[str(element)]


class Registers:
    """Assigns tile registers and writes the instructions that set them."""

    def __init__(self, views: Views, prologue: Any, loop: Any, loc: Any) -> None:
        self.views = views
        self.prologue = prologue
        self.loop = loop
        self.loc = loc
        self.weights: dict[Key, int] = {}
        self.keys: dict[Any, list[tuple[Key, Any]]] = {}
        self.numbers: dict[Key, int] = {}
        self.shared: list[int] = []
        self.next_shared = 0
        self.constants: dict[int, Any] = {}
        self.bases: dict[Any, Any] = {}
        self.i64 = ir.IntegerType.get_signless(64)
        self.outside: dict[Any, bool] = {}

    # -- values -----------------------------------------------------------------------------------------------------

    def constant(self, value: int) -> Any:
        """An i64 constant at the start of the function, made once."""
        value = value - (1 << 64) if value >= 1 << 63 else value
        found = self.constants.get(value)
        if found is None:
            attribute = ir.IntegerAttr.get(self.i64, value)
            start = ir.InsertionPoint.at_block_begin(self.loop.block)
            found = create("arith.constant", [], [self.i64], start, self.loc, value=attribute)
            self.constants[value] = found
        return found

    def wide(self, value: Any) -> Any:
        """An index value as i64, folded when constant."""
        known = constant_of(value)
        if known is not None:
            return self.constant(known)
        if value.type == self.i64:
            return value
        return self.make("arith.index_cast", [value])

    def make(self, name: str, operands: list[Any]) -> Any:
        return ir.Operation.create(name, results=[self.i64], operands=operands).results[0]

    def fixed(self, value: Any) -> bool:
        """Whether a value is known before the program loop."""
        found = self.outside.get(value)
        if found is None:
            block = value.owner if isinstance(value.owner, ir.Block) else value.owner.operation.block
            found = self.outside[value] = block == self.loop.block
        return found

    @property
    def used(self) -> int:
        """How many tile registers the kernel names, at least one."""
        return max(1, min(len(self.weights), COUNT))

    # -- which operands there are -----------------------------------------------------------------------------------

    def count(self, op: Any) -> None:
        """Note the operands of an operation, in the order of its command's fields."""
        if op.name in NO_OPERANDS:
            return
        depth = depth_of(op)
        keys = [
            (dataclasses.replace(key, place=place) if detail is not None and isinstance(key, Local) else key, detail)
            for place, (key, detail) in enumerate(self.describe(op))
        ]
        self.keys[op] = keys
        for key, _ in keys:
            self.weights[key] = max(self.weights.get(key, 0), depth)

    def describe(self, op: Any) -> list[tuple[Key, Any]]:
        operands = list(op.operands)
        if op.name in GLOBAL_OPERAND:
            return self.describe_dma(op, operands)
        if op.name in ("mtia.iota", "mtia.mask"):
            shape = grid_of(self.views.of(operands[0]))
            return [self.operand(operands[0], shape), *(self.scalar(value) for value in operands[1:])]
        if op.name == "mtia.matmul":
            a, b, acc = operands
            return [self.operand(acc), *map(self.factor, (a, b))]
        if op.name == "mtia.re_zero":
            return [self.operand(operands[0])]
        if op.name == "mtia.re_scale":
            return [self.operand(value) for value in operands]
        if op.name in ("mtia.simd_reduce", "mtia.transpose"):
            return [self.operand(operands[1]), self.operand(operands[0])]
        if op.name == "mtia.gather":
            source, index, target = operands
            return [self.operand(target), self.operand(source), self.column(index)]
        target = operands[-1]
        shape = grid_of(self.views.of(target))
        return [self.operand(target), *(self.source(value, shape) for value in operands[:-1])]

    def describe_dma(self, op: Any, operands: list[Any]) -> list[tuple[Key, Any]]:
        remote = (Remote(op), None)
        if op.name == "mtia.prefetch":
            return [remote]
        local = self.operand(operands[1 - GLOBAL_OPERAND[op.name]])
        pair = [local, remote] if GLOBAL_OPERAND[op.name] == 0 else [remote, local]
        if op.name.endswith("indexed"):
            pair.append(self.column(operands[2]))
        return pair

    def source(self, value: Any, shape: tuple[int, int]) -> tuple[Key, Any]:
        if isinstance(value.type, ir.MemRefType):
            return self.operand(value, shape)
        return self.scalar(value)

    def column(self, value: Any) -> tuple[Key, Any]:
        """An index list as a column."""
        view = self.views.of(value)
        return self.local(view.shaped((view.shape[0], 1), (view.strides[0], 1)), None)

    def factor(self, value: Any) -> tuple[Key, Any]:
        """A factor of a product: f32 is read as tf32."""
        key, detail = self.operand(value)
        assert isinstance(key, Local)
        return (dataclasses.replace(key, dtype=int(DType.TF32)) if key.dtype == DType.F32 else key), detail

    def operand(self, value: Any, shape: tuple[int, int] | None = None) -> tuple[Key, Any]:
        return self.local(self.views.of(value), shape)

    def local(self, view: View, shape: tuple[int, int] | None) -> tuple[Key, Any]:
        """A view of local memory, broadcast to a shape."""
        (rows, cols), (row_stride, col_stride) = grid_of(view), grid_strides(view)
        if shape is not None:
            row_stride = 0 if rows == 1 and shape[0] != 1 else row_stride
            col_stride = 0 if cols == 1 and shape[1] != 1 else col_stride
            rows, cols = shape
        row_stride, col_stride = (row_stride if rows > 1 else 0), (col_stride if cols > 1 else 0)
        size = element_bytes(view.element)
        attributes = view.root.owner.attributes
        offset = ir.IntegerAttr(attributes["mtia.offset"]).value + view.offset * size
        cb = ir.IntegerAttr(attributes["mtia.cb"]).value
        slot = ir.IntegerAttr(attributes[SLOT]).value if SLOT in attributes else 0
        moving = bool(view.terms)
        strides = row_stride * size, col_stride * size
        key = Local(cb, dtype_of(view.element), rows, cols, *strides, None if moving else offset, slot=slot)
        return key, (view, offset) if moving else None

    def scalar(self, value: Any) -> tuple[Key, Any]:
        bits = constant_bits(value)
        if bits is not None:
            return Constant(dtype_of(value.type), bits), None
        return Immediate(value), None

    # -- assignment -------------------------------------------------------------------------------------------------

    def assign(self) -> None:
        """Give registers, innermost operands first, and set before the loop what never changes."""
        keys = sorted(self.weights, key=lambda key: -self.weights[key])
        owners = keys if len(keys) <= COUNT else keys[: COUNT - SHARED]
        self.numbers = {key: number for number, key in enumerate(owners)}
        self.shared = list(range(len(owners), COUNT))
        with self.prologue, self.loc:
            for key in owners:
                self.set_fixed(key)

    def set_fixed(self, key: Key) -> None:
        """Set before the loop all of an operand that is known there."""
        number = self.numbers[key]
        if isinstance(key, Local):
            self.set_local(number, key)
        elif isinstance(key, Constant):
            self.set_constant(number, key)
        elif isinstance(key, Immediate):
            if self.fixed(key.value):
                self.set_immediate(number, key)
        else:
            self.set_remote(number, key.op, True)

    def prepare(self, op: Any) -> list[int]:
        """Set right before a command what is not set yet; gives the register numbers of its fields."""
        return [self.register(key, detail) for key, detail in self.keys[op]]

    def register(self, key: Key, detail: Any) -> int:
        number = self.numbers.get(key)
        shared = number is None
        if number is None:
            number = self.shared[self.next_shared % SHARED]
            self.next_shared += 1
        if isinstance(key, Local):
            if shared:
                self.set_local(number, key)
            if detail is not None:
                view, offset = detail
                pe.command("xm.td.off", self.byte_offset(view, offset), td=number)
        elif isinstance(key, Constant):
            if shared:
                self.set_constant(number, key)
        elif isinstance(key, Immediate):
            if shared or not self.fixed(key.value):
                self.set_immediate(number, key)
        else:
            if shared:
                self.set_remote(number, key.op, True, anywhere=True)
            self.set_remote(number, key.op, False)
        return number

    # -- instructions -----------------------------------------------------------------------------------------------

    def byte_offset(self, view: View, offset: int) -> Any:
        """The byte offset of a moving view in its slot."""
        return self.sum_terms(self.constant(offset), view.terms, element_bytes(view.element))

    def sum_terms(self, total: Any, terms: tuple[tuple[Any, int], ...], size: int) -> Any:
        for term, factor in terms:
            scaled = self.wide(term)
            if factor * size != 1:
                scaled = self.make("arith.muli", [scaled, self.constant(factor * size)])
            total = self.make("arith.addi", [total, scaled])
        return total

    def set_local(self, number: int, key: Local) -> None:
        word = key.cb | WRITE_SIDE << 8 | key.slot << 12 | key.dtype << 16
        pe.command("xm.td.local", self.constant(word), self.constant(key.offset or 0), td=number)
        strides = key.row_stride & MASK32 | (key.col_stride & MASK32) << 32
        pe.command("xm.td.shape", self.constant(key.rows | key.cols << 32), self.constant(strides), td=number)

    def set_constant(self, number: int, key: Constant) -> None:
        pe.command("xm.td.imm", self.constant(key.bits), self.constant(key.dtype), td=number)

    def set_immediate(self, number: int, key: Immediate) -> None:
        kind = key.value.type
        pe.command("xm.td.imm", self.bits(key.value), self.constant(dtype_of(kind)), td=number)

    def bits(self, value: Any) -> Any:
        """The bits of a scalar as i64."""
        known = constant_bits(value)
        if known is not None:
            return self.constant(known)
        if isinstance(value.type, ir.IndexType):
            return self.wide(value)
        if not isinstance(value.type, ir.IntegerType):
            whole = ir.IntegerType.get_signless(value.type.width)
            value = ir.Operation.create("arith.bitcast", results=[whole], operands=[value]).results[0]
            return value if whole.width == 64 else self.make("arith.extui", [value])
        if value.type.width == 64:
            return value
        return self.make("arith.extui" if value.type.width == 1 else "arith.extsi", [value])

    def base(self, root: Any) -> Any:
        """The device address that an argument holds, read once, or that a view of device memory was made from."""
        if not isinstance(root.owner, ir.Block):
            return root.owner.operation.operands[0]
        found = self.bases.get(root)
        if found is None:
            index = ir.IndexType.get()
            pointer = create("memref.extract_aligned_pointer_as_index", [root], [index], self.prologue, self.loc)
            found = create("arith.index_cast", [pointer], [self.i64], self.prologue, self.loc)
            self.bases[root] = found
        return found

    def set_remote(self, number: int, op: Any, fixed: bool, anywhere: bool = False) -> None:
        """Set the parts of a device-memory view that are known before the loop (fixed), or the others."""
        value = op.operands[GLOBAL_OPERAND[op.name]]
        view = self.views.of(value)
        size = element_bytes(view.element)
        shape = list(view.shape) if op.name == "mtia.prefetch" else list(self.tile_of(op).shape)
        strides = dynamic_strides(value, view)
        if not shape:
            shape, strides = [1], [1]
        address_fixed = self.fixed(view.root) and all(self.fixed(term) for term, _ in view.terms)
        if fixed:
            self.set_base(number, view, size, len(shape), address_fixed)
        elif not address_fixed:
            pe.command("xm.gd.addr", self.address(view, size), gd=number)
        fill = fill_of(op)
        if fill is not None and (constant_bits(fill) is not None or self.fixed(fill)) == fixed:
            pe.command("xm.gd.fill", self.bits(fill), gd=number)
        lows, highs = bounds_of(op)
        for dim, (extent, stride) in enumerate(zip(shape, strides, strict=True)):
            stride_fixed = not isinstance(stride, ir.Value) or self.fixed(stride)
            if stride_fixed == fixed:
                pe.command("xm.gd.dim", self.constant(extent), self.byte_stride(stride, size), gd=number, k=dim)
            if lows and not whole(lows[dim], highs[dim], extent):
                clip_fixed = stride_fixed and self.fixed(lows[dim]) and self.fixed(highs[dim])
                if clip_fixed == fixed:
                    pe.command("xm.gd.clip", self.wide(lows[dim]), self.wide(highs[dim]), gd=number, k=dim)

    def set_base(self, number: int, view: View, size: int, rank: int, address_fixed: bool) -> None:
        word = self.constant(dtype_of(view.element) | rank << 8)
        known = self.base(view.root) if self.fixed(view.root) else self.constant(0)
        address = self.address(view, size) if address_fixed else known
        pe.command("xm.gd.base", address, word, gd=number)

    def address(self, view: View, size: int) -> Any:
        """The device address of a view's first element."""
        total = self.base(view.root)
        if view.offset:
            total = self.make("arith.addi", [total, self.constant(view.offset * size)])
        return self.sum_terms(total, view.terms, size)

    def byte_stride(self, stride: Any, size: int) -> Any:
        if not isinstance(stride, ir.Value):
            return self.constant(stride * size)
        known = constant_of(stride)
        if known is not None:
            return self.constant(known * size)
        return self.make("arith.muli", [self.wide(stride), self.constant(size)])

    def tile_of(self, op: Any) -> View:
        return self.views.of(op.operands[1 - GLOBAL_OPERAND[op.name]])


FILLED = frozenset(("mtia.dma_in", "mtia.dma_in_indexed"))
NO_OPERANDS = frozenset(("mtia.cb_next", "mtia.hart_wait", "mtia.wait", "mtia.barrier"))


def fill_of(op: Any) -> Any:
    """The value that elements outside the valid range are given, None when the operation has none."""
    if op.name not in FILLED or not list(ir.DenseI32ArrayAttr(op.attributes["operandSegmentSizes"]))[-1]:
        return None
    return op.operands[len(op.operands) - 1]


def grid_of(view: View) -> tuple[int, int]:
    """Rows and columns of a window: the last dimension is columns, the others are rows."""
    if not view.shape:
        return 1, 1
    rows = 1
    for size in view.shape[:-1]:
        rows *= size
    return rows, view.shape[-1]


def grid_strides(view: View) -> tuple[int, int]:
    """Row and column stride of a window in elements."""
    if not view.shape:
        return 0, 0
    if len(view.shape) == 1:
        return 0, view.strides[0]
    stride, extent = 0, 1
    for size, step in zip(view.shape[-2::-1], view.strides[-2::-1], strict=True):
        if size == 1:
            continue
        if extent > 1 and step != stride * extent:
            raise AssertionError(f"rows of {view.shape} with strides {view.strides} have no common stride")
        stride, extent = (step, size) if extent == 1 else (stride, extent * size)
    return stride, view.strides[-1]


def bounds_of(op: Any) -> tuple[list[Any], list[Any]]:
    """The lower and upper bounds of a DMA operation."""
    if op.name == "mtia.prefetch":
        return [], []
    segments = list(ir.DenseI32ArrayAttr(op.attributes["operandSegmentSizes"]))
    place = 3 if op.name.endswith("indexed") else 2
    lows, highs = segments[place], segments[place + 1]
    values = list(op.operands)
    return values[place : place + lows], values[place + lows : place + lows + highs]


def whole(low: Any, high: Any, extent: int) -> bool:
    """Whether a valid range is known to be the whole dimension."""
    first, last = constant_of(low), constant_of(high)
    return first is not None and first <= 0 and last is not None and last >= extent


def constant_of(value: Any) -> int | None:
    """The integer that a value is, None when it is not constant."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.name != "arith.constant":
        return None
    attribute = owner.attributes["value"]
    return int(attribute.value) if isinstance(attribute, ir.IntegerAttr) else None


def constant_bits(value: Any) -> int | None:
    """The bits of a constant scalar, None when it is not constant."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.name != "arith.constant":
        return None
    attribute = owner.attributes["value"]
    kind = str(value.type)
    if kind == "i1":
        return int(bool(attribute.value))
    if not isinstance(attribute, ir.FloatAttr):
        return int(attribute.value) & ((1 << 64) - 1)
    if kind in ("f16", "f32"):
        return int.from_bytes(struct.pack("<e" if kind == "f16" else "<f", attribute.value), "little")
    if kind == "bf16":
        return int.from_bytes(struct.pack("<f", attribute.value), "little") >> 16
    return None


def depth_of(op: Any) -> int:
    """How many loops an operation is in."""
    depth = 0
    owner = op.block.owner.operation
    while owner.name != "func.func":
        depth += owner.name in ("scf.for", "scf.while")
        owner = owner.block.owner.operation
    return depth
