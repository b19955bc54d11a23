"""What a random case of each command looks like: its operands' types and shapes, and how often it is issued."""

from __future__ import annotations

from collections.abc import Callable

from mtia.isa.chip import Chip
from mtia.isa.xmtia.codes import DType, Flag, Space
from mtia.tools.verify.function_oracles import LUT_BASES
from mtia.tools.verify.xmtia_cases import Batch, Tile
from mtia.tools.verify.xmtia_simd import BINARY, NONLINEAR, REDUCED, TERNARY, UNARY
from mtia.tools.verify.xmtia_statements import PAIRS, dpe_rate
from mtia.tools.verify.xmtia_values import FLOATS, INTEGERS, has_type

__all__ = ["CASES"]

MOVED = (*FLOATS, DType.F64, *INTEGERS)  # what the memory layout unit and DMA move
INDEX = (DType.I32, DType.I64)


def types(chip: Chip, kinds: tuple[DType, ...]) -> list[DType]:
    return [t for t in kinds if has_type(chip, t)]


def pick(batch: Batch, kinds: tuple[DType, ...]) -> DType:
    """A random one of the types that the chip's SIMD engine has."""
    known = types(batch.chip, kinds)
    return known[int(batch.rng.integers(0, len(known)))]


def shape(batch: Batch, limit: int = 600) -> tuple[int, int]:
    """Rows and columns: small, wide, tall, or an edge."""
    rng = batch.rng
    kind = int(rng.integers(0, 6))
    if kind == 0:
        return 1, int(rng.integers(1, limit))
    if kind == 1:
        return int(rng.integers(1, min(limit, 128))), 1
    if kind == 2:
        return int(rng.integers(1, 5)), int(rng.choice([15, 16, 17, 31, 32, 33, 63, 64, 65, 100]))
    if kind == 3:
        return int(rng.integers(17, 40)), int(rng.integers(1, 17))
    return int(rng.integers(1, 12)), int(rng.integers(1, 40))


def repeat(batch: Batch, name: str, fields: dict[str, Tile], target: Tile | None, times: int | None = None) -> None:
    """Issue the command one to three times, moving on in the buffers between."""
    count = times or int(batch.rng.integers(1, 4))
    for n in range(count):
        batch.do(name, **{key: tile.td for key, tile in fields.items()})
        batch.settle(name, target)
        if n + 1 < count:
            for tile in {t.cb: t for t in fields.values()}.values():
                batch.go_on(tile)


def source(batch: Batch, dtype: DType, size: tuple[int, int], mode: int | None = None) -> Tile:
    """A source in local memory, in accumulators, or an immediate."""
    draw = batch.rng.random()
    if draw < 0.15:
        return batch.immediate(dtype, mode)
    if draw < 0.25 and dtype in (DType.F32, DType.I32):
        return batch.tile(dtype, size, space=Space.RE, mode=mode)
    return batch.tile(dtype, size, mode=mode)


def target_tile(batch: Batch, dtype: DType, size: tuple[int, int], inc: bool = True, stochastic: bool = False) -> Tile:
    """A destination, sometimes with stochastic rounding."""
    random = stochastic or (batch.chip.se.stochastic and batch.rng.random() < 0.25)
    return batch.tile(dtype, size, source=False, inc=inc, flags=int(Flag.STOCHASTIC) if random else 0)


def elementwise(name: str, count: int, floats: bool, integers: bool, loose: bool = False) -> Callable[[Batch], None]:
    """A function of the SIMD engine."""

    def case(batch: Batch) -> None:
        rng = batch.rng
        size = shape(batch)
        whole = integers and (not floats or rng.random() < 0.4)
        kinds = [pick(batch, INTEGERS if whole else FLOATS) for _ in range(count)]
        if not whole and count > 1 and rng.random() < 0.2 and name not in ("quant", "dequant"):
            kinds[int(rng.integers(0, count))] = pick(batch, INTEGERS)
        if name == "dequant" and rng.random() < 0.8:
            kinds[0] = pick(batch, INTEGERS if batch.chip.se.int8 else INTEGERS[2:])
        if name == "sel":
            kinds[0] = pick(batch, INTEGERS) if whole or rng.random() < 0.5 else kinds[0]
            if not whole and all(k in INTEGERS for k in kinds[1:]):
                kinds[1] = DType.F32
        to = pick(batch, (*FLOATS, *INTEGERS))
        if name == "quant" and rng.random() < 0.7:
            to = pick(batch, INTEGERS)
        if name == "quant" and not batch.chip.se.int8 and to in (DType.I8, DType.U8):
            to = DType.I16
        mode = int(rng.choice([0, 1, 2])) if rng.random() < 0.3 else None
        # Stochastic rounding numbers the elements, whichever way a tall view is walked.
        stochastic = bool(batch.chip.se.stochastic) and not whole and not loose and rng.random() < 0.15
        if stochastic:
            size, to = (int(rng.integers(16, 40)), int(rng.integers(2, 12))), pick(batch, FLOATS[1:])
        inputs = [source(batch, kind, size, mode) for kind in kinds]
        names = ("a", "b", "c")[:count]
        own = [t for t, kind in zip(inputs, kinds, strict=True) if t.cb >= 0 and kind is to and may_hold(batch, t)]
        if own and not loose and not stochastic and rng.random() < 0.3:
            target = own[0]  # a destination may be one of its own sources
        else:
            target = target_tile(batch, to, size, inc=not loose, stochastic=stochastic)
        fields = dict(zip(names, inputs, strict=True)) | {"d": target}
        repeat(batch, f"xm.se.{name}", fields, target, 1 if loose else None)

    return case


def may_hold(batch: Batch, tile: Tile) -> bool:
    """Whether a source's view may also be written: in local memory, without broadcast."""
    t = batch.hart.td[tile.td]
    ring = batch.hart.ring(t.cb)
    return ring.space is Space.LS and (t.rows == 1 or t.rstride != 0) and (t.cols == 1 or t.cstride != 0)


def reduction(name: str, by_row: bool) -> Callable[[Batch], None]:
    def case(batch: Batch) -> None:
        rows, cols = shape(batch)
        kind = pick(batch, (*FLOATS, *INTEGERS))
        a = move_source(batch, kind, (rows, cols))
        d = batch.tile(pick(batch, (*FLOATS, *INTEGERS)), (rows, 1) if by_row else (1, cols), source=False)
        repeat(batch, f"xm.se.{name}", {"d": d, "a": a}, d)

    return case


def affine(name: str) -> Callable[[Batch], None]:
    def case(batch: Batch) -> None:
        size = shape(batch)
        parts = [source(batch, pick(batch, INTEGERS), size, int(batch.rng.choice([0, 1, 2, 2, 2]))) for _ in range(3)]
        d = batch.tile(pick(batch, (*INTEGERS, *FLOATS)), size, source=False)
        repeat(batch, f"xm.se.{name}", {"d": d, "a": parts[0], "b": parts[1], "c": parts[2]}, d)

    return case


def mask(batch: Batch) -> None:
    rank = int(batch.rng.integers(1, 5))
    gd, _, _ = batch.transfer_view(DType.F32, rank, False, False)
    d = batch.tile(pick(batch, (*INTEGERS, *FLOATS)), (int(batch.rng.integers(1, 6)), int(batch.rng.integers(1, 30))),
                   source=False)  # fmt: skip
    repeat(batch, "xm.se.mask", {"d": d, "gd": Tile(gd)}, d)


def moved(batch: Batch) -> tuple[DType, DType]:
    """Two types of one size that the memory layout unit moves."""
    a = MOVED[int(batch.rng.integers(0, len(MOVED)))]
    same = [t for t in MOVED if t.bytes == a.bytes]
    return a, same[int(batch.rng.integers(0, len(same)))]


def move_source(batch: Batch, dtype: DType, size: tuple[int, int]) -> Tile:
    held = dtype in (DType.F32, DType.I32) and batch.rng.random() < 0.15
    return batch.tile(dtype, size, space=Space.RE if held else Space.LS)


def layout(name: str) -> Callable[[Batch], None]:
    def case(batch: Batch) -> None:
        rows, cols = shape(batch)
        to, kind = moved(batch)
        a = batch.immediate(kind) if name == "fill" else move_source(batch, kind, (rows, cols))
        d = batch.tile(to, (cols, rows) if name == "trans" else (rows, cols), source=False)
        repeat(batch, f"xm.mlu.{name}", {"d": d, "a": a}, d)

    return case


def cat(batch: Batch) -> None:
    rows, cols = shape(batch, 200)
    more = int(batch.rng.integers(1, 20))
    to, kind = moved(batch)
    across = batch.rng.random() < 0.5
    a = move_source(batch, kind, (rows, cols))
    b = batch.tile(to, (rows, more) if across else (more, cols))
    d = batch.tile(to, (rows, cols + more) if across else (rows + more, cols), source=False)
    repeat(batch, "xm.mlu.cat", {"d": d, "a": a, "b": b}, d)


def gather(batch: Batch) -> None:
    rows, cols = shape(batch, 200)
    to, kind = moved(batch)
    a = move_source(batch, kind, (rows, cols))
    count = int(batch.rng.integers(1, 30))
    dtype = INDEX[int(batch.rng.integers(0, 2))]
    raw = batch.rng.integers(0, rows, (count, 1)).astype(f"u{dtype.bytes}")
    b = batch.tile(dtype, (count, 1), raw=raw)
    d = batch.tile(to, (count, cols), source=False)
    repeat(batch, "xm.mlu.gather", {"d": d, "a": a, "b": b}, d, 1)


def product(name: str) -> Callable[[Batch], None]:
    def case(batch: Batch) -> None:
        rng = batch.rng
        pairs = [p for of in PAIRS.values() for p in of if dpe_rate(batch.chip, *p)]
        a_type, b_type = pairs[int(rng.integers(0, len(pairs)))]
        m, n = (int(rng.integers(1, 40)) for _ in range(2))
        k = int(rng.choice([1, 2, 3, 7, 16, 31, 33, 64, 130]))
        mode = int(rng.choice([0, 1, 2, 2, 2]))
        a, b = batch.tile(a_type, (m, k), mode=mode), batch.tile(b_type, (k, n), mode=mode)
        to = DType.I32 if a_type in INTEGERS else DType.F32
        acc = batch.tile(to, (m, n), space=Space.RE, source=False, mode=mode)
        repeat(batch, f"xm.dpe.{name}", {"acc": acc, "a": a, "b": b}, None, int(rng.integers(1, 3)))

    return case


def held(batch: Batch, size: tuple[int, int], dtype: DType | None = None) -> Tile:
    kind = (DType.F32, DType.I32)[int(batch.rng.random() < 0.3)] if dtype is None else dtype
    return batch.tile(kind, size, space=Space.RE, source=False)


def re_load(batch: Batch) -> None:
    size = shape(batch)
    acc, a = held(batch, size), source(batch, pick(batch, (*FLOATS, *INTEGERS)), size)
    repeat(batch, "xm.re.load", {"acc": acc, "a": a}, None)


def re_drain(batch: Batch) -> None:
    size = shape(batch)
    acc = held(batch, size)
    d = target_tile(batch, pick(batch, (*FLOATS, *INTEGERS)), size)
    repeat(batch, "xm.re.drain", {"d": d, "acc": acc}, d)


def re_zero(batch: Batch) -> None:
    repeat(batch, "xm.re.zero", {"acc": held(batch, shape(batch))}, None)


def re_scale(batch: Batch) -> None:
    rows, cols = shape(batch)
    acc = held(batch, (rows, cols), DType.F32)
    a = batch.tile(pick(batch, FLOATS), (rows, 1))
    repeat(batch, "xm.re.scale", {"acc": acc, "a": a}, None)


def re_extreme(name: str) -> Callable[[Batch], None]:
    def case(batch: Batch) -> None:
        rows, cols = shape(batch)
        acc = held(batch, (rows, cols))
        d = batch.tile(pick(batch, (*FLOATS, *INTEGERS)), (rows, 1), source=False)
        repeat(batch, f"xm.re.{name}", {"d": d, "acc": acc}, d)

    return case


def transfer(name: str) -> Callable[[Batch], None]:
    """A DMA command; the indexed ones have random rows around the base."""

    def case(batch: Batch) -> None:
        rng = batch.rng
        out, indexed = name.startswith("out"), name.endswith("i")
        kind = MOVED[int(rng.integers(0, len(MOVED)))]
        same = [t for t in MOVED if t.bytes == kind.bytes]
        rank = 2 if indexed else int(rng.integers(1, 5))
        gd, rows, cols = batch.transfer_view(kind, rank, indexed, out)
        local = batch.tile(same[int(rng.integers(0, len(same)))], (rows, cols), source=out)
        fields = {"gd": Tile(gd), "s" if out else "d": local}
        if indexed:
            dtype = INDEX[int(rng.integers(0, 2))]
            raw = rng.integers(-10, 11, (rows, 1)).astype(f"i{dtype.bytes}").view(f"u{dtype.bytes}")
            fields["idx"] = batch.tile(dtype, (rows, 1), raw=raw)
        repeat(batch, f"xm.dma.{name}", fields, None if out else local, 1)

    return case


def prefetch(batch: Batch) -> None:
    gd, _, _ = batch.transfer_view(DType.U8, int(batch.rng.integers(1, 5)), False, False)
    batch.do("xm.dma.pre", gd=gd)


def queries(batch: Batch) -> None:
    """Pointers and counts of a buffer as it turns, and the launch's numbers."""
    rng = batch.rng
    tile = batch.tile(DType.U8, (1, 4), inc=False)
    slots = batch.hart.ring(tile.cb).slots
    for _ in range(int(rng.integers(1, 8))):
        ring = batch.hart.ring(tile.cb)
        step = rng.choice(["push", "pop", "next", "waitr", "waitw"])
        held_slots = ring.pushed - ring.popped
        if (step == "push" and held_slots < slots) or (step in ("pop", "waitr") and held_slots) or step == "next":
            batch.do(f"xm.cb.{step}", cb=tile.cb)
        elif step == "waitw" and held_slots < slots:
            batch.do("xm.cb.waitw", cb=tile.cb)
        batch.ask("xm.cb.avail", cb=tile.cb)
        batch.ask("xm.cb.ptr", cb=tile.cb, side=int(rng.integers(0, 2)))
    for item in (*range(8), 9, 31):
        batch.ask("xm.rdinfo", k=item)


GROUPS = ((1, UNARY), (2, BINARY), (3, TERNARY))
PLAIN = {name: (count, pair) for count, group in GROUPS for name, pair in group.items()}
CASES: dict[str, Callable[[Batch], None]] = {
    **{f"xm.se.{name}": elementwise(name, count, pair[0] is not None, pair[1] is not None)
       for name, (count, pair) in PLAIN.items()},
    **{f"xm.se.{name}": elementwise(name, 2 if name == "pow" else 1, True, False, loose=True) for name in NONLINEAR},
    **{f"xm.se.lut.{name}": elementwise(f"lut.{name}", 1, True, False) for name in LUT_BASES},
    **{f"xm.se.{name}": reduction(name, by_row) for name, _, by_row in REDUCED},
    **{f"xm.se.mask.{name}": affine(f"mask.{name}") for name in ("lt", "le", "eq", "ne", "gt", "ge")},
    "xm.se.iota": affine("iota"), "xm.se.mask": mask,
    "xm.mlu.copy": layout("copy"), "xm.mlu.trans": layout("trans"), "xm.mlu.fill": layout("fill"), "xm.mlu.cat": cat,
    "xm.mlu.gather": gather, "xm.dpe.mmz": product("mmz"), "xm.dpe.mma": product("mma"),
    "xm.re.load": re_load, "xm.re.drain": re_drain, "xm.re.zero": re_zero, "xm.re.scale": re_scale,
    "xm.re.rowmax": re_extreme("rowmax"), "xm.re.rowmin": re_extreme("rowmin"),
    **{f"xm.dma.{name}": transfer(name) for name in ("in", "out", "ini", "outi")},
    "xm.dma.pre": prefetch, "xm.cb.ptr": queries,
}  # fmt: skip
