"""What the campaign `exact` runs: operations with their oracle, and every instruction that has to give the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from mtia.tools.verify import rational as q
from mtia.tools.verify.rational import BF16, FP16, FP32, FP64, Format, Result

__all__ = ["Form", "Kind", "Operation", "operations"]

Kind = Format | int  # of an operand: a float format, or an integer of so many bits (negative: signed)


@dataclass(frozen=True)
class Form:
    """One instruction: operands are in a (fa0, a0, v16), b (fa1, a1, v24) and d (fa2, v8).

    `places` says where the operation's operands go. `result` is `x` (a5), `f` (fa5), `v` (v8) or `m` (bit 0 of v8);
    `sew` is 0 for scalar code. An operand in an f register (`boxed`) can be put there without its NaN box.
    """

    text: str
    places: str
    result: str
    sew: int = 0
    vl: int = 1

    @property
    def name(self) -> str:
        """The mnemonic."""
        return self.text.split()[0]

    @property
    def boxed(self) -> str:
        """Places that are f registers."""
        return "".join(p for p, register in (("a", "fa0"), ("b", "fa1"), ("d", "fa2")) if f" {register}" in self.text)


@dataclass(frozen=True)
class Operation:
    """A function of operands of given kinds and a rounding mode, and the forms that compute it."""

    name: str
    kinds: tuple[Kind, ...]
    width: int  # bits of the result
    oracle: Callable[..., Result]  # (operands, mode)
    forms: tuple[Form, ...]
    rounds: bool = True
    step: Callable[[int, int, int], Result] | None = None  # of a reduction: (so far, fp16 element, mode)


def _forms(*texts: str, sew: int = 16, vl: int = 1) -> tuple[Form, ...]:
    """Forms from `places text`; vector ones begin with v."""
    found = []
    for line in texts:
        places, _, text = line.partition(" ")
        vector = text.startswith("v")
        target = text.split()[1].rstrip(",")
        result = {"v8": "v", "fa5": "f", "a5": "x"}[target]
        if text.startswith("vmf"):
            result = "m"
        found.append(Form(text, places, result, sew if vector else 0, vl))
    return tuple(found)


H = FP16


def _arithmetic() -> Iterator[Operation]:
    two: Sequence[tuple[str, Callable[..., Result], Sequence[str]]] = (
        ("add", partial(q.add, H, H, H), ()),
        ("sub", partial(q.add, H, H, H, minus=True), ("ba vfrsub.vf v8, v16, fa1",)),
        ("mul", partial(q.mul, H, H), ()),
        ("div", partial(q.div, H), ("ba vfrdiv.vf v8, v16, fa1",)),
    )
    for name, oracle, more in two:
        yield Operation(
            name, (H, H), 16, oracle,
            _forms(f"ab f{name}.h fa5, fa0, fa1", f"ab vf{name}.vv v8, v16, v24", f"ab vf{name}.vf v8, v16, fa1",
                   *more),
        )  # fmt: skip
    for name, product, addend, (into, over) in (
        ("madd", False, False, ("macc", "madd")), ("msub", False, True, ("msac", "msub")),
        ("nmsub", True, False, ("nmsac", "nmsub")), ("nmadd", True, True, ("nmacc", "nmadd")),
    ):  # fmt: skip
        yield Operation(
            f"f{name}", (H, H, H), 16,
            lambda x, y, z, rm, p=product, c=addend: q.fused(H, H, x, y, z, rm, p, c),
            _forms(f"abd f{name}.h fa5, fa0, fa1, fa2", f"bad vf{into}.vv v8, v24, v16",
                   f"bad vf{into}.vf v8, fa1, v16", f"bda vf{over}.vv v8, v24, v16", f"bda vf{over}.vf v8, fa1, v16"),
        )  # fmt: skip
    yield Operation("sqrt", (H,), 16, partial(q.sqrt, H), _forms("a fsqrt.h fa5, fa0", "a vfsqrt.v v8, v16"))
    for name, root in (("vfrec7", False), ("vfrsqrt7", True)):
        for f in (H, FP32, FP64):
            yield Operation(
                f"{name} {f.name}", (f,), f.width, partial(_estimate, f, root),
                _forms(f"a {name}.v v8, v16", sew=f.width),
            )  # fmt: skip


def _estimate(f: Format, root: bool, x: int, rm: int) -> Result:
    return q.estimate(f, x, root, rm)


def _extreme(largest: bool, x: int, y: int, rm: int) -> Result:
    return q.extreme(H, x, y, largest)


def _without_rounding() -> Iterator[Operation]:
    for name, largest in (("min", False), ("max", True)):
        yield Operation(
            name, (H, H), 16, partial(_extreme, largest),
            _forms(f"ab f{name}.h fa5, fa0, fa1", f"ab vf{name}.vv v8, v16, v24", f"ab vf{name}.vf v8, v16, fa1"),
            False,
        )  # fmt: skip
        yield _reduction(f"{name} of four", H, partial(_extreme, largest), False, f"ba vfred{name}.vs v8, v16, v24")
    for how in ("", "n", "x"):
        n = f"sgnj{how}"
        yield Operation(
            n, (H, H), 16, lambda x, y, rm, how=how: q.sign(H, x, y, how),
            _forms(f"ab f{n}.h fa5, fa0, fa1", f"ab vf{n}.vv v8, v16, v24", f"ab vf{n}.vf v8, v16, fa1"), False,
        )  # fmt: skip
    scalar = {
        "eq": ["ab feq.h a5, fa0, fa1"],
        "lt": ["ab flt.h a5, fa0, fa1"],
        "le": ["ab fle.h a5, fa0, fa1"],
        "ne": [],
    }
    swapped = {"lt": ["ba vmfgt.vf v8, v16, fa1"], "le": ["ba vmfge.vf v8, v16, fa1"]}
    for how, texts in scalar.items():
        yield Operation(
            how, (H, H), 1, lambda x, y, rm, how=how: q.compare(H, x, y, how),
            _forms(*texts, f"ab vmf{how}.vv v8, v16, v24", f"ab vmf{how}.vf v8, v16, fa1", *swapped.get(how, ())),
            False,
        )  # fmt: skip
    yield Operation(
        "class", (H,), 16, lambda x, rm: q.classify(H, x), _forms("a fclass.h a5, fa0", "a vfclass.v v8, v16"), False
    )
    yield Operation(
        "move", (H,), 16, lambda x, rm: (x, 0),
        _forms("b vfmv.v.f v8, fa1", "b vfmv.s.f v8, fa1", "a vfmv.f.s fa5, v16", "b vfmerge.vfm v8, v16, fa1, v0",
               "b vfslide1up.vf v8, v16, fa1", "b vfslide1down.vf v8, v16, fa1"), False,
    )  # fmt: skip
    # bits move between registers and memory whether boxed or not
    yield Operation(
        "bits to x", (16,), 64, lambda x, rm: (x | (x >> 15) * ((1 << 64) - (1 << 16)), 0),
        _forms("a fmv.x.h a5, fa0"), False,
    )  # fmt: skip
    yield Operation("bits", (16,), 16, lambda x, rm: (x, 0), _forms("a fmv.h.x fa5, a0", "a flh fa5, 0(s0)"), False)
    for how in ("eqz", "nez"):
        yield Operation(
            f"czero.{how}", (64, 64), 64,
            lambda x, y, rm, zero=how == "eqz": (0 if (y == 0) == zero else x, 0),
            _forms(f"ab czero.{how} a5, a0, a1"), False,
        )  # fmt: skip


def _fold(step: Callable[[int, int, int], Result], start: int, elements: int, rm: int) -> Result:
    """A reduction of four fp16 elements, packed in 64 bits."""
    found, flags = start, 0
    for place in range(0, 64, 16):
        found, more = step(found, elements >> place & 0xFFFF, rm)
        flags |= more
    return found, flags


def _reduction(name: str, f: Format, step: Callable[[int, int, int], Result], rounds: bool, *texts: str) -> Operation:
    return Operation(name, (f, 64), f.width, partial(_fold, step), _forms(*texts, vl=4), rounds, step)


def _widening() -> Iterator[Operation]:
    s = FP32
    for name, minus in (("add", False), ("sub", True)):
        yield Operation(
            f"w{name}", (H, H), 32, partial(q.add, s, H, H, minus=minus),
            _forms(f"ab vfw{name}.vv v8, v16, v24", f"ab vfw{name}.vf v8, v16, fa1"),
        )  # fmt: skip
        yield Operation(
            f"w{name} wide", (s, H), 32, partial(q.add, s, s, H, minus=minus),
            _forms(f"ab vfw{name}.wv v8, v16, v24", f"ab vfw{name}.wf v8, v16, fa1"),
        )  # fmt: skip
    yield Operation(
        "wmul", (H, H), 32, partial(q.mul, s, H), _forms("ab vfwmul.vv v8, v16, v24", "ab vfwmul.vf v8, v16, fa1")
    )
    for name, g, product, addend in (
        ("vfwmacc", H, False, False), ("vfwnmacc", H, True, True), ("vfwmsac", H, False, True),
        ("vfwnmsac", H, True, False), ("vfwmaccbf16", BF16, False, False),
    ):  # fmt: skip
        yield Operation(
            name, (g, g, s), 32,
            lambda x, y, z, rm, g=g, p=product, c=addend: q.fused(FP32, g, x, y, z, rm, p, c),
            _forms(f"bad {name}.vv v8, v24, v16", f"bad {name}.vf v8, fa1, v16"),
        )  # fmt: skip
    for wide, letter in ((H, ""), (s, "w")):
        yield _reduction(
            f"v{letter}sum of four", wide, partial(q.add, wide, wide, H), True,
            f"ba vf{letter}redusum.vs v8, v16, v24", f"ba vf{letter}redosum.vs v8, v16, v24",
        )  # fmt: skip


def _conversions() -> Iterator[Operation]:
    pairs: Sequence[tuple[Format, Format, Sequence[str]]] = (
        (FP32, H, ("a fcvt.s.h fa5, fa0", "a vfwcvt.f.f.v v8, v16")),
        (FP64, H, ("a fcvt.d.h fa5, fa0",)),
        (H, FP32, ("a fcvt.h.s fa5, fa0", "a vfncvt.f.f.w v8, v16")),
        (H, FP64, ("a fcvt.h.d fa5, fa0",)),
        (FP32, BF16, ("a fcvt.s.bf16 fa5, fa0", "a vfwcvtbf16.f.f.v v8, v16")),
        (BF16, FP32, ("a fcvt.bf16.s fa5, fa0", "a vfncvtbf16.f.f.w v8, v16")),
    )
    for f, g, texts in pairs:
        yield Operation(f"{g.name} to {f.name}", (g,), f.width, partial(q.convert, f, g), _forms(*texts))
    yield Operation(
        "to odd", (FP32,), 16, lambda x, rm: q.odd(FP16, FP32, x), _forms("a vfncvt.rod.f.f.w v8, v16"), False
    )
    for signed, u in ((True, ""), (False, "u")):
        for width, scalar, vector, sew in (
            (8, "", "vfncvt{}.x{}.f.w", 8), (16, "", "vfcvt{}.x{}.f.v", 16), (32, "w", "vfwcvt{}.x{}.f.v", 16),
            (64, "l", "", 0),
        ):  # fmt: skip
            texts = [f"a fcvt.{scalar}{u}.h a5, fa0"] if scalar else []
            vectors = [f"a {vector.format('', u)} v8, v16"] if vector else []
            yield Operation(
                f"fp16 to {u}int{width}",
                (H,),
                width,
                partial(_to_integer, width, signed),
                _forms(*texts, *vectors, sew=sew),
            )
            if vector:
                yield Operation(
                    f"fp16 truncated to {u}int{width}", (H,), width,
                    lambda x, rm, width=width, signed=signed: q.to_integer(FP16, x, width, signed, q.RTZ),
                    _forms(f"a {vector.format('.rtz', u)} v8, v16", sew=sew), False,
                )  # fmt: skip
        for width, scalar, vector, sew in (
            (8, "", "vfwcvt.f.x{}.v", 8), (16, "", "vfcvt.f.x{}.v", 16), (32, "w", "vfncvt.f.x{}.w", 16),
            (64, "l", "", 0),
        ):  # fmt: skip
            texts = [f"a fcvt.h.{scalar}{u} fa5, a0"] if scalar else []
            vectors = [f"a {vector.format(u)} v8, v16"] if vector else []
            yield Operation(
                f"{u}int{width} to fp16", (-width if signed else width,), 16, partial(_from, width, signed),
                _forms(*texts, *vectors, sew=sew),
            )  # fmt: skip


def _to_integer(width: int, signed: bool, x: int, rm: int) -> Result:
    return q.to_integer(FP16, x, width, signed, rm)


def _from(width: int, signed: bool, bits: int, rm: int) -> Result:
    return q.from_integer(FP16, bits - (1 << width) if signed and bits >> width - 1 else bits, rm)


def operations() -> list[Operation]:
    """Every operation of the campaign."""
    return [*_arithmetic(), *_without_rounding(), *_widening(), *_conversions()]
