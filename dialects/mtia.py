"""The `mtia` dialect: tiles in local memory, and what the units of a processing element do with them.

Operands are memrefs; memory space 1 is device memory, 2 the accumulators of the reduction engine, none or 0 local
memory. A source dimension of size 1 broadcasts against the destination, and a scalar operand broadcasts everywhere.
"""

# The bindings carry no types, and a dialect's `Operation` base class is made at run time; annotations are read by
# `ext`, so they must not be strings (no `from __future__ import annotations` here).
# mypy: disable-error-code="misc, call-arg, name-defined"

from collections.abc import Iterable, Sequence
from typing import Any

from mtia.dialects.mlir import ext, ir

__all__ = [
    "ACCUMULATORS",
    "BINARY_KINDS",
    "EIGHT_BIT_FLOATS",
    "GLOBAL",
    "LOCAL",
    "MTIA",
    "PREDICATES",
    "REDUCE_KINDS",
    "TERNARY_KINDS",
    "UNARY_KINDS",
    "memory_space",
]

LOCAL, GLOBAL, ACCUMULATORS = 0, 1, 2

UNARY_KINDS = frozenset(
    "cvt neg abs exp exp2 log log2 sqrt rsqrt rcp tanh sigm erf gelu sin cos floor ceil rint relu sqr not".split()
)
BINARY_KINDS = frozenset("add sub mul div max min maxn minn lt le eq ne gt ge and or xor pow copysign".split())
TERNARY_KINDS = frozenset("fma sel clamp".split())
REDUCE_KINDS = frozenset("rsum rmax rmin rmaxn rminn csum cmax cmin cmaxn cminn".split())
PREDICATES = frozenset("lt le eq ne gt ge".split())

EIGHT_BIT_FLOATS = frozenset("f8E4M3FN f8E5M2".split())  # on the chips that have them
SE_TYPES = frozenset("f16 bf16 f32 i1 i8 i16 i32".split()) | EIGHT_BIT_FLOATS
FLOATS = frozenset("f16 bf16 f32".split())
MATRIX_TYPES = {("f16", "f32"), ("bf16", "f32"), ("f32", "f32"), ("i8", "i32")}
COLUMN_ROWS = 128
MAX_DMA_RANK = 4


def memory_space(memref_type: Any) -> int:
    """Memory space of a memref type: LOCAL, GLOBAL or ACCUMULATORS."""
    space = memref_type.memory_space
    return LOCAL if space is None else int(ir.IntegerAttr(space).value)


def _is_memref(value: Any) -> bool:
    return isinstance(value.type, ir.MemRefType)


def _element(value: Any) -> str:
    return str(value.type.element_type if _is_memref(value) else value.type)


def _fail(op: Any, reason: str) -> bool:
    op.location.emit_error(f"'{op.operation.name}' op {reason}")
    return False


def _text(op: Any, name: str) -> str:
    return str(ir.StringAttr(op.attributes[name]).value)


def _check_tiles(op: Any, tiles: Iterable[Any], spaces: Sequence[int] = (LOCAL,)) -> bool:
    """Every tile is a static memref of rank at most two in one of `spaces`, as a tile register describes it."""
    for tile in tiles:
        if not _is_memref(tile):
            continue
        if tile.type.rank > 2:
            return _fail(op, f"has an operand of rank {tile.type.rank}; a tile register has rows and columns only")
        if not tile.type.has_static_shape:
            return _fail(op, "has an operand of dynamic shape; tile registers hold constant rows and columns")
        space = memory_space(tile.type)
        if space not in spaces:
            where = {LOCAL: "local memory", GLOBAL: "device memory", ACCUMULATORS: "the accumulators"}.get(space, "?")
            return _fail(op, f"cannot reach {where} with this operand")
    return True


def _check_broadcast(op: Any, sources: Iterable[Any], destination: Any) -> bool:
    wanted = list(destination.type.shape)
    for source in sources:
        if not _is_memref(source):
            continue
        shape = list(source.type.shape)
        if len(shape) > len(wanted) or any(
            have not in (1, want) for have, want in zip(reversed(shape), reversed(wanted), strict=False)
        ):
            return _fail(op, f"cannot broadcast {source.type} to {destination.type}")
    return True


def _check_simd_types(op: Any, values: Iterable[Any]) -> bool:
    for value in values:
        if _element(value) not in SE_TYPES:
            return _fail(op, f"has type {_element(value)}, which the SIMD engine does not compute on")
    return True


def _check_kind(op: Any, kinds: frozenset[str]) -> bool:
    kind = _text(op, "kind")
    return kind in kinds or _fail(op, f"kind '{kind}' is not one of {', '.join(sorted(kinds))}")


def _check_simd(op: Any, sources: Sequence[Any], destination: Any, kinds: frozenset[str]) -> bool:
    if not _is_memref(destination):
        return _fail(op, "writes to a value that is no memref")
    return (
        _check_kind(op, kinds)
        and _check_tiles(op, sources, (LOCAL, ACCUMULATORS))
        and _check_tiles(op, [destination])
        and _check_simd_types(op, [*sources, destination])
        and _check_broadcast(op, sources, destination)
    )


class MTIA(ext.Dialect, name="mtia"):
    """Tile-level operations of one processing element."""


class ProgramId(MTIA.Operation, name="program_id", traits=[ext.Pure]):
    """Index of the running program on a grid axis (0, 1 or 2)."""

    axis: ir.IntegerAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return _check_axis(self)


class NumPrograms(MTIA.Operation, name="num_programs", traits=[ext.Pure]):
    """Size of the grid on an axis (0, 1 or 2)."""

    axis: ir.IntegerAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return _check_axis(self)


def _check_axis(op: Any) -> bool:
    axis = ir.IntegerAttr(op.attributes["axis"]).value
    if not 0 <= axis <= 2:
        return _fail(op, f"axis {axis} does not exist; a grid has axes 0, 1 and 2")
    if str(op.results[0].type) not in ("i32", "index"):
        return _fail(op, "must give i32 or index")
    return True


class HartNumber(MTIA.Operation, name="hart_number", traits=[ext.Pure]):
    """Number of the running hart among those of the launch, from 0."""

    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return str(self.result.type) == "index" or _fail(self, "must give index")


class MemoryAt(MTIA.Operation, name="memory_at", traits=[ext.Pure]):
    """Device memory from an address on, as a kernel's pointer argument sees it."""

    address: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        if str(self.address.type) != "i64":
            return _fail(self, f"takes an address as i64, not {self.address.type}")
        if not _is_memref(self.result) or memory_space(self.result.type) != GLOBAL:
            return _fail(self, "gives device memory (space 1)")
        return True


def _check_dma(op: Any, remote: Any, local: Any, bounds: Sequence[Sequence[Any]]) -> bool:
    if not (_is_memref(remote) and _is_memref(local)):
        return _fail(op, "moves between two memrefs")
    if memory_space(remote.type) != GLOBAL or memory_space(local.type) != LOCAL:
        return _fail(op, "moves between device memory (space 1) and local memory")
    if remote.type.element_type != local.type.element_type:
        return _fail(op, "cannot convert types on the way; the fabric interface moves bytes")
    if remote.type.rank != local.type.rank:
        return _fail(op, f"has ranks {remote.type.rank} and {local.type.rank}")
    if remote.type.rank > MAX_DMA_RANK:
        return _fail(op, f"has rank {remote.type.rank}; a descriptor has at most {MAX_DMA_RANK} dimensions")
    if not local.type.has_static_shape:
        return _fail(op, "needs a local tile of static shape")
    for bound in bounds:
        if len(bound) not in (0, local.type.rank):
            return _fail(op, f"has {len(bound)} bounds for rank {local.type.rank}")
        if any(str(value.type) != "index" for value in bound):
            return _fail(op, "takes bounds of type index")
    return True


def _check_fill(op: Any, local: Any) -> bool:
    fill = op.fill
    if fill is not None and fill.type != local.type.element_type:
        return _fail(op, f"fills {local.type.element_type} elements with a {fill.type}")
    return True


class DmaIn(MTIA.Operation, name="dma_in"):
    """dst[i] = src[i] where lo <= i < hi in every dimension, else fill (0 when absent)."""

    src: ext.Operand[Any]
    dst: ext.Operand[Any]
    lo: Sequence[ext.Operand[Any]]
    hi: Sequence[ext.Operand[Any]]
    fill: ext.Operand[Any] | None = None

    def verify_invariants(self) -> bool:
        return _check_dma(self, self.src, self.dst, (self.lo, self.hi)) and _check_fill(self, self.dst)


class DmaOut(MTIA.Operation, name="dma_out"):
    """dst[i] = src[i] where lo <= i < hi in every dimension; other elements of dst stay."""

    src: ext.Operand[Any]
    dst: ext.Operand[Any]
    lo: Sequence[ext.Operand[Any]]
    hi: Sequence[ext.Operand[Any]]

    def verify_invariants(self) -> bool:
        return _check_dma(self, self.dst, self.src, (self.lo, self.hi))


def _check_index(op: Any, index: Any, local: Any) -> bool:
    if not _is_memref(index) or _element(index) not in ("i32", "i64") or memory_space(index.type) != LOCAL:
        return _fail(op, "takes its indices as i32 or i64 from local memory")
    if index.type.rank != 1 or index.type.shape[0] != local.type.shape[0]:
        return _fail(op, "takes one index a row of the local tile")
    return True


class DmaInIndexed(MTIA.Operation, name="dma_in_indexed"):
    """dst[r, c] = src[index[r], c] where lo <= (r, c) < hi, else fill."""

    src: ext.Operand[Any]
    dst: ext.Operand[Any]
    index: ext.Operand[Any]
    lo: Sequence[ext.Operand[Any]]
    hi: Sequence[ext.Operand[Any]]
    fill: ext.Operand[Any] | None = None

    def verify_invariants(self) -> bool:
        return (
            _check_dma(self, self.src, self.dst, (self.lo, self.hi))
            and _check_fill(self, self.dst)
            and _check_index(self, self.index, self.dst)
        )


class DmaOutIndexed(MTIA.Operation, name="dma_out_indexed"):
    """dst[index[r], c] = src[r, c] where lo <= (r, c) < hi."""

    src: ext.Operand[Any]
    dst: ext.Operand[Any]
    index: ext.Operand[Any]
    lo: Sequence[ext.Operand[Any]]
    hi: Sequence[ext.Operand[Any]]

    def verify_invariants(self) -> bool:
        return _check_dma(self, self.dst, self.src, (self.lo, self.hi)) and _check_index(self, self.index, self.src)


class Prefetch(MTIA.Operation, name="prefetch"):
    """Bring a tile of device memory near (DRAM to on-chip SRAM) without waiting."""

    src: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        if not _is_memref(self.src) or memory_space(self.src.type) != GLOBAL:
            return _fail(self, "prefetches device memory (space 1) only")
        return True


class Matmul(MTIA.Operation, name="matmul"):
    """acc[m, n] (+)= sum over k of a[m, k] * b[k, n], k ascending, on the dot-product engine; `zero` starts from 0.

    Factors of type f32 are rounded to tf32.
    """

    a: ext.Operand[Any]
    b: ext.Operand[Any]
    acc: ext.Operand[Any]
    zero: ir.IntegerAttr

    def verify_invariants(self) -> bool:
        a, b, acc = self.a, self.b, self.acc
        if not all(map(_is_memref, (a, b, acc))):
            return _fail(self, "multiplies memrefs")
        if not (_check_tiles(self, (a, b)) and _check_tiles(self, [acc], (ACCUMULATORS,))):
            return False
        if {a.type.rank, b.type.rank, acc.type.rank} != {2}:
            return _fail(self, "multiplies matrices of rank 2")
        (m, k), (k2, n) = a.type.shape, b.type.shape
        if k != k2 or list(acc.type.shape) != [m, n]:
            return _fail(self, f"shapes do not match: {m}x{k} times {k2}x{n}")
        kinds = (_element(a), _element(b), _element(acc))
        if {*kinds[:2]} <= EIGHT_BIT_FLOATS and kinds[2] == "f32":
            return True
        if kinds[0] != kinds[1] or kinds[1:] not in MATRIX_TYPES:
            return _fail(
                self,
                f"multiplies {kinds[0]} by {kinds[1]} into {kinds[2]}; the dot-product engine has 8-bit floats, f16, "
                "bf16 and f32 rounded to tf32 into f32, and i8 into i32",
            )
        return True


class SimdUnary(MTIA.Operation, name="simd_unary"):
    """dst = kind(src), elementwise on the SIMD engine."""

    src: ext.Operand[Any]
    dst: ext.Operand[Any]
    kind: ir.StringAttr

    def verify_invariants(self) -> bool:
        return _check_simd(self, [self.src], self.dst, UNARY_KINDS)


class SimdBinary(MTIA.Operation, name="simd_binary"):
    """dst = kind(a, b), elementwise on the SIMD engine."""

    a: ext.Operand[Any]
    b: ext.Operand[Any]
    dst: ext.Operand[Any]
    kind: ir.StringAttr

    def verify_invariants(self) -> bool:
        return _check_simd(self, [self.a, self.b], self.dst, BINARY_KINDS)


class SimdTernary(MTIA.Operation, name="simd_ternary"):
    """dst = kind(a, b, c), elementwise on the SIMD engine: fma a*b+c, sel a ? b : c, clamp min(max(a, b), c)."""

    a: ext.Operand[Any]
    b: ext.Operand[Any]
    c: ext.Operand[Any]
    dst: ext.Operand[Any]
    kind: ir.StringAttr

    def verify_invariants(self) -> bool:
        return _check_simd(self, [self.a, self.b, self.c], self.dst, TERNARY_KINDS)


class SimdReduce(MTIA.Operation, name="simd_reduce"):
    """dst[r, 0] = kind over the columns of src (rsum rmax rmin rmaxn rminn), or dst[0, c] over its rows."""

    src: ext.Operand[Any]
    dst: ext.Operand[Any]
    kind: ir.StringAttr

    def verify_invariants(self) -> bool:
        tiles = (self.src, self.dst)
        if not all(map(_is_memref, tiles)):
            return _fail(self, "reduces a memref into a memref")
        checked = (
            _check_kind(self, REDUCE_KINDS)
            and _check_tiles(self, [self.src], (LOCAL, ACCUMULATORS))
            and _check_tiles(self, [self.dst])
            and _check_simd_types(self, tiles)
        )
        if not checked:
            return False
        if self.src.type.rank != 2 or self.dst.type.rank != 2:
            return _fail(self, "reduces rank 2 into rank 2")
        rows, columns = self.src.type.shape
        by_row = _text(self, "kind").startswith("r")
        if list(self.dst.type.shape) != ([rows, 1] if by_row else [1, columns]):
            return _fail(self, f"writes {self.dst.type} for a source of {rows}x{columns}")
        if not by_row and rows > COLUMN_ROWS:
            return _fail(self, f"reduces {rows} rows; a column pass takes at most {COLUMN_ROWS}")
        return True


class Iota(MTIA.Operation, name="iota"):
    """dst[r, c] = a*r + b*c + k."""

    dst: ext.Operand[Any]
    a: ext.Operand[Any]
    b: ext.Operand[Any]
    k: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        return _check_affine(self)


class Mask(MTIA.Operation, name="mask"):
    """dst[r, c] = (a*r + b*c + k) predicate 0, as 0 or 1."""

    dst: ext.Operand[Any]
    a: ext.Operand[Any]
    b: ext.Operand[Any]
    k: ext.Operand[Any]
    predicate: ir.StringAttr

    def verify_invariants(self) -> bool:
        if _text(self, "predicate") not in PREDICATES:
            return _fail(self, f"predicate is one of {', '.join(sorted(PREDICATES))}")
        if _is_memref(self.dst) and _element(self.dst) not in ("i1", "i8"):
            return _fail(self, "writes masks of type i1 or i8")
        return _check_affine(self)


def _check_affine(op: Any) -> bool:
    if not _is_memref(op.dst):
        return _fail(op, "writes to a memref")
    if any(str(value.type) != "index" for value in (op.a, op.b, op.k)):
        return _fail(op, "takes its coefficients as index")
    return _check_tiles(op, [op.dst]) and _check_simd_types(op, [op.dst])


class Fill(MTIA.Operation, name="fill"):
    """dst = value everywhere, on the memory layout unit."""

    value: ext.Operand[Any]
    dst: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        if not _is_memref(self.dst) or self.dst.type.element_type != self.value.type:
            return _fail(self, "fills a memref with a value of its element type")
        return _check_tiles(self, [self.dst])


def _check_move(op: Any, source: Any, destination: Any, spaces: Sequence[int] = (LOCAL, ACCUMULATORS)) -> bool:
    if not (_is_memref(source) and _is_memref(destination)):
        return _fail(op, "moves between memrefs")
    kinds = (source.type.element_type, destination.type.element_type)
    if kinds[0] != kinds[1] and getattr(kinds[0], "width", None) != getattr(kinds[1], "width", None):
        return _fail(op, "cannot convert types; the memory layout unit moves bits")
    return _check_tiles(op, [source], spaces) and _check_tiles(op, [destination])


class Copy(MTIA.Operation, name="copy"):
    """dst = src with broadcast, any strides, on the memory layout unit."""

    src: ext.Operand[Any]
    dst: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        return _check_move(self, self.src, self.dst) and _check_broadcast(self, [self.src], self.dst)


class Transpose(MTIA.Operation, name="transpose"):
    """dst[c, r] = src[r, c] on the memory layout unit."""

    src: ext.Operand[Any]
    dst: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        if not _check_move(self, self.src, self.dst):
            return False
        if list(self.src.type.shape) != list(self.dst.type.shape)[::-1] or self.src.type.rank != 2:
            return _fail(self, f"cannot transpose {self.src.type} into {self.dst.type}")
        return True


class Gather(MTIA.Operation, name="gather"):
    """dst[r, c] = src[index[r], c] inside local memory, on the memory layout unit."""

    src: ext.Operand[Any]
    index: ext.Operand[Any]
    dst: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        return _check_move(self, self.src, self.dst) and _check_index(self, self.index, self.dst)


class ReZero(MTIA.Operation, name="re_zero"):
    """acc = 0."""

    acc: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        return _check_tiles(self, [self.acc], (ACCUMULATORS,))


class ReScale(MTIA.Operation, name="re_scale"):
    """acc[r, c] *= factor[r, 0]."""

    acc: ext.Operand[Any]
    factor: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        if not (_check_tiles(self, [self.acc], (ACCUMULATORS,)) and _check_tiles(self, [self.factor])):
            return False
        if list(self.factor.type.shape) != [self.acc.type.shape[0], 1]:
            return _fail(self, f"scales {self.acc.type} by rows with {self.factor.type}")
        return True


class ReLoad(MTIA.Operation, name="re_load"):
    """acc = src (a bias row or column broadcasts)."""

    src: ext.Operand[Any]
    acc: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        if not (_check_tiles(self, [self.acc], (ACCUMULATORS,)) and _check_tiles(self, [self.src])):
            return False
        return _check_broadcast(self, [self.src], self.acc)


class ReDrain(MTIA.Operation, name="re_drain"):
    """dst = acc, converted to the element type of dst."""

    acc: ext.Operand[Any]
    dst: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        if not (_check_tiles(self, [self.acc], (ACCUMULATORS,)) and _check_tiles(self, [self.dst])):
            return False
        return _check_broadcast(self, [self.acc], self.dst)


class Barrier(MTIA.Operation, name="barrier"):
    """Wait until all processing elements of the launch are here and their DMA has completed."""


class CbNext(MTIA.Operation, name="cb_next"):
    """Advance a circular buffer to its next slot (push and pop in one)."""

    cb: ir.IntegerAttr

    def verify_invariants(self) -> bool:
        cb = ir.IntegerAttr(self.attributes["cb"]).value
        return 0 <= cb < 14 or _fail(self, f"circular buffer {cb} is not one of the 14 for compiled code")


class Wait(MTIA.Operation, name="wait"):
    """Stall the hart until its commands on the units of a mask have completed (bit n = unit n; 0 = all)."""

    units: ir.IntegerAttr


class HartWait(MTIA.Operation, name="hart_wait"):
    """Stall the hart until no earlier command still reads or writes a buffer."""

    buffer: ext.Operand[Any]
