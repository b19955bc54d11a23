"""The corpus of `mtiac verify strict`: faulty programs, and sound ones that are nearly the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mtia.tools.verify.strict_programs import LS, Source, Strict

__all__ = ["BUFFER", "corpus"]

HERE, FIRST = "  # here", "  # first"
BUFFER = 4000  # bytes of each of the two buffers that a program gets: not a multiple of the allocator's unit
DATA = 0x8000  # offset in local memory of what the programs use
LS_BYTES, RE_BYTES = 393_216, 131_072  # of the chip that the corpus runs on, MTIA 200
_LOADS, _STORES = {1: "lb", 2: "lh", 4: "lw", 8: "ld"}, {1: "sb", 2: "sh", 4: "sw", 8: "sd"}
IN, OUT, MLU, DPE, RE, SE = (1 << n for n in range(6))


def unwritten_by_harts() -> Iterator[Strict]:
    """Loads of local memory of which all bytes, or all but one, have been written."""
    for size, load in _LOADS.items():
        for missing in sorted({0, size - 1}):
            where = f"{LS + DATA:#x}"
            for sound in (False, True):
                source = Source().at(DATA)
                for byte in range(size):
                    if sound or byte != missing:
                        source(f"sb zero, {byte}(t0)")
                source(f"{load} t1, 0(t0)" + ("" if sound else HERE))
                name = f"{load}, byte {missing} {'written' if sound else 'unwritten'}"
                yield _twin(name, source, sound, "UNWRITTEN", None, f"local memory at {where} is read")
    for last in (60, 64):
        source = Source().at(DATA)
        for offset in range(0, last, 4):
            source(f"sw zero, {offset}(t0)")
        source("li t1, 16", "vsetvli zero, t1, e32, m1, ta, ma", "vle32.v v1, (t0)" + ("" if last == 64 else HERE))
        # core B has the vector unit of MTIA 200
        made = _twin(f"vle32.v of {last} written bytes", _on_b(source), last == 64, "UNWRITTEN", None)
        yield _with_cores(made, 2)


def _on_b(source: Source) -> Source:
    """The same program, of which hart A does nothing."""
    source.lines.insert(2, "beqz a2, only_b")
    return source("only_b:")


def _with_cores(made: Strict, cores: int) -> Strict:
    return Strict(made.name, made.text, made.cause, made.unit, made.says, made.reads, cores, made.pes)


def _twin(name: str, source: Source, sound: bool, cause: str, unit: str | None, *says: str, pes: int = 1) -> Strict:
    """The faulty program or its sound neighbour."""
    if sound:
        return Strict(name, source.text(), pes=pes)
    return Strict(name, source.text(), cause, unit, says, pes=pes)


def _fill(source: Source, td: int) -> Source:
    return source("xm.td.imm td31, zero, zero", f"xm.mlu.fill td{td}, td31")


# Commands that read td0 (4 x 4 floats of cb0, and where a second operand is needed td1 of cb1) and write td2 of cb2.
_READERS = {
    "se": ("xm.se.neg td2, td0", "xm.se.add td2, td0, td1", "xm.se.add td2, td1, td0", "xm.se.fma td2, td1, td1, td0",
           "xm.se.rsum td3, td0", "xm.se.csum td4, td0"),
    "mlu": ("xm.mlu.copy td2, td0", "xm.mlu.trans td2, td0"),
    "re": ("xm.re.load td5, td0",),
    "fi.out": ("xm.dma.out td6, td0",),
}  # fmt: skip


def _operands(source: Source, apart: bool = True) -> Source:
    """The operands of `_READERS`; td5 are accumulators, td6 device memory."""
    for cb in range(3):
        source.cb(cb, DATA + (256 * cb if apart else 0), 256)
    source.cb(3, 0, 256, 1, 1)
    source.tile(0, 0, 4, 4).tile(1, 1, 4, 4).tile(2, 2, 4, 4).tile(3, 2, 4, 1).tile(4, 2, 1, 4).tile(5, 3, 4, 4)
    return source.data(6, 4, 4)


def unwritten_by_units() -> Iterator[Strict]:
    """Every engine reads a tile of which the last element, or nothing at all, has been written."""
    for unit, commands in _READERS.items():
        for command in commands:
            for written in ("all", "nothing", "all but the last"):
                source = _fill(_operands(Source()), 1)
                if written == "all":
                    _fill(source, 0)
                elif written == "all but the last":
                    _fill(source.tile(7, 0, 1, 15), 7)
                sound = written == "all"
                source(command + ("" if sound else HERE))
                at = LS + DATA + (0 if written == "nothing" else 60)
                says = f"local memory at {at:#x} is read, but nothing was written there"
                yield _twin(f"{command}, {written} written", source, sound, "UNWRITTEN", unit, says)


def unwritten_index_lists() -> Iterator[Strict]:
    """An indexed transfer, and a gather, whose index list is short of one element."""
    for command, unit in (("xm.dma.ini td1, td2, td0", "fi.in"), ("xm.mlu.gather td1, td3, td0", "mlu")):
        for written in (4, 3):
            source = Source().cb(0, DATA, 256).cb(1, DATA + 256, 256).cb(2, DATA + 512, 256)
            source.tile(0, 0, 4, 1, 12).tile(1, 1, 4, 4).tile(3, 2, 4, 4).data(2, 4, 4)
            _fill(source, 3).at(DATA)
            for k in range(written):
                source(f"sw zero, {4 * k}(t0)")
            source(command + ("" if written == 4 else HERE))
            says = f"local memory at {LS + DATA + 12:#x} is read"
            yield _twin(f"{command} with {written} of 4 indices", source, written == 4, "UNWRITTEN", unit, says)


def unwritten_accumulators() -> Iterator[Strict]:
    """Accumulators that are read before a product, a load or a zero has written them, or beyond what it wrote."""
    commands = ("xm.re.drain td2, td5", "xm.re.rowmax td3, td5", "xm.re.rowmin td3, td5", "xm.re.scale td5, td8",
                "xm.se.neg td2, td5", "xm.mlu.copy td2, td5", "xm.dpe.mma td5, td9, td9")  # fmt: skip
    for command in commands:
        unit = command.split(".")[1]
        for before in ("xm.re.zero td5", "xm.re.zero td7", "xm.re.load td5, td1", ""):
            source = _fill(_operands(Source()), 1).tile(7, 3, 4, 3, strides=(16, 4))
            source.tile(8, 1, 4, 1).cb(4, DATA + 1024, 256).tile(9, 4, 4, 4, 1, 2)
            source("xm.se.cvt td9, td31", before)
            sound = before.endswith(("td5", "td1"))
            source(command + ("" if sound else HERE))
            says = f"the accumulator at byte {0xC if before else 0:#x} of RE is read"
            yield _twin(f"{command} after {before or 'nothing'}", source, sound, "UNWRITTEN", unit, says)


def bounds() -> Iterator[Strict]:
    """The last bytes of local memory, of circular buffers and of slots, and the first bytes behind them."""
    for size in _LOADS:
        for over in (0, 1):
            source = Source().at(LS_BYTES - size)(f"{_STORES[size]} zero, 0(t0)")
            source(f"{_LOADS[size]} t1, {over}(t0)" + (HERE if over else ""))
            says = f"load outside memory of {size} bytes at {LS + LS_BYTES - size + 1:#x}"
            yield _twin(
                f"load of {size} bytes, {over} past the end", source, not over, "LOAD_OUTSIDE_MEMORY", None, says
            )
    for space, memory in ((0, LS_BYTES), (1, RE_BYTES)):
        for slots in (1, 4, 64):
            for over in (0, 1):
                base = memory - 64 * slots + over
                source = Source().cb(0, base, 64, slots, space, HERE if over else "")
                says = f"the circular buffer ends at {memory + 1:#x}, past its memory of {memory:#x} bytes"
                yield _twin(f"{slots} slots in space {space}, {over} over", source, not over, "BUFFER", None, says)
    tiles: dict[str, tuple[tuple[int, int], tuple[int, int], int, bool]] = {
        "exact": ((4, 4), (16, 4), 0, True), "a row more": ((5, 4), (16, 4), 0, False),
        "a column more": ((4, 5), (16, 4), 0, False), "moved": ((4, 4), (16, 4), 4, False),
        "backwards": ((4, 4), (-16, 4), 48, True), "backwards, too far": ((4, 4), (-16, 4), 44, False),
        "transposed": ((4, 4), (4, 16), 0, True), "broadcast": ((100, 16), (0, 4), 0, True),
        "broadcast, too wide": ((100, 17), (0, 4), 0, False), "empty": ((0, 400), (4, 4), 0, True),
    }  # fmt: skip
    for name, (shape, strides, offset, sound) in tiles.items():
        source = Source().cb(0, DATA, 64).tile(0, 0, *shape, offset=offset, strides=strides)
        source("xm.td.imm td1, zero, zero", "xm.mlu.fill td0, td1" + ("" if sound else HERE))
        yield _twin(f"a tile, {name}", source, sound, "BOUNDS", None, "operand 1 reaches outside its memory")


def buffers() -> Iterator[Strict]:
    """Circular buffers that are not defined, have too many or no slots, or too few of them for a tile register."""
    for slots in (1, 64, 0, 65):
        sound = slots in (1, 64)
        source = Source().cb(0, DATA, 16, slots, 0, "" if sound else HERE)
        says = f"a circular buffer has 1 to 64 slots, not {slots}"
        yield _twin(f"{slots} slots", source, sound, "BUFFER", None, says)
    for command in (
        "xm.cb.push cb{}",
        "xm.cb.next cb{}",
        "xm.cb.waitw cb{}",
        "xm.cb.ptr t1, cb{}, 1",
        "xm.cb.avail t1, cb{}",
    ):
        for cb in (0, 1):
            source = Source().cb(0, DATA, 64)(command.format(cb) + (HERE if cb else ""))
            says = "circular buffer cb1 is not defined (xm.cb.init)"
            yield _twin(command.format(cb), source, not cb, "BUFFER", None, says)
    for ahead in (0, 1, 2):
        source = Source().cb(0, DATA, 64, 2).tile(0, 0, 4, 4, slot=ahead)("xm.td.imm td1, zero, zero")
        source("xm.mlu.fill td0, td1" + (HERE if ahead == 2 else ""))
        says = "operand 1 is 2 slots ahead in a circular buffer of 2"
        yield _twin(f"{ahead} slots ahead of 2", source, ahead < 2, "BUFFER", None, says)
    for space in (0, 1):
        source = Source().cb(0, DATA, 64, 1, space)("xm.cb.ptr t1, cb0, 1" + (HERE if space else ""))
        yield _twin(f"xm.cb.ptr in space {space}", source, not space, "SPACE", None)


def device_memory() -> Iterator[Strict]:
    """Harts and transfers at the ends of a buffer, in its padding, and outside."""
    for what, at, sound in (
        ("last word", BUFFER - 4, True),
        ("before the first", -4, False),
        ("far behind", 4096, False),
    ):
        for text in ("lw t1, 0(t2)", "sw zero, 0(t2)", "amoadd.w t1, zero, (t2)"):
            source = Source()(f"li t2, {at}", "add t2, t2, s0", text + ("" if sound else HERE))
            yield _twin(f"{text} of the {what}", source, sound, "OUTSIDE", None, "lies outside every buffer")
    for inward in (True, False):
        for over in (0, 4, 96):
            source = _fill(Source().cb(0, DATA, 256).tile(0, 0, 1, 25), 0)
            start = BUFFER - 100 + over if over < 90 else 4096 - 96
            source.data(1, 1, 25, offset=start)
            name = f"a transfer {'in' if inward else 'out'} that ends {over} bytes past the end"
            command = "xm.dma.in td0, td1" if inward else "xm.dma.out td1, td0"
            past = start + 100 - BUFFER
            if inward and over == 4:
                yield Strict(name, source(command).text(), reads=((4, True),))
            else:
                source(command + (HERE if over else ""))
                what = "is written, in the padding" if not inward else "lies outside every buffer"
                assert past >= 0
                yield _twin(name, source, not over, "OUTSIDE", "fi.in" if inward else "fi.out", what)
    for written in (False, True):
        source = Source()(*(["sw zero, 0(s1)"] if written else []), "lw t1, 0(s1)")
        reads = () if written else ((4, False),)
        yield Strict(f"a load of device memory, {'' if written else 'un'}written", source.text(), reads=reads)
        source = _fill(Source().cb(0, DATA, 256).tile(0, 0, 1, 16), 0).data(1, 1, 16, base="s1")
        source(*(["xm.dma.out td1, td0"] if written else []), "xm.dma.in td0, td1")
        reads = () if written else ((64, False),)
        yield Strict(f"a transfer from device memory, {'' if written else 'un'}written", source.text(), reads=reads)


def control() -> Iterator[Strict]:
    """Jumps out of the text, words that are no instruction, programs without end, and misaligned atomics."""
    for rounds in (1000, 0):
        source = Source()(f"li t1, {rounds}", "again:", "addi t1, t1, -1" + ("" if rounds else HERE), "bnez t1, again")
        yield _twin(f"a loop of {rounds or 2**64} rounds", source, bool(rounds), "RUNAWAY", None, "ran longer than")
    yield Strict("a jump to itself", Source()("stay:", "j stay" + HERE).text(), "RUNAWAY", None, ("hart A runs",))
    for target, sound in (("_end", True), ("0x5000", False)):
        jump = ["la t1, _end", "jr t1", "_end:"] if sound else [f"li t1, {target}", "jr t1"]
        yield _twin(f"an indirect jump to {target}", Source()(*jump), sound, "JUMP_TO_AN_ADDRESS_WITHOUT_CODE", None)
    for word, sound in ((0x00000013, True), (0x0000007B, False), (0xFFFFFFFF, False)):
        source = Source()(f".word {word:#x}" + ("" if sound else HERE))
        yield _twin(f"the word {word:#010x}", source, sound, "ILLEGAL_INSTRUCTION", None)
    for offset in (0, 2):
        source = Source().at(DATA)("sd zero, 0(t0)", f"addi t0, t0, {offset}")
        source("amoadd.w t1, zero, (t0)" + (HERE if offset else ""))
        yield _twin(f"an atomic at offset {offset}", source, not offset, "MISALIGNED_STORE", None)


def corpus() -> list[Strict]:
    """All programs, in a fixed order; their names differ."""
    from mtia.tools.verify.strict_order import deadlocks, races_of_harts, races_of_two_harts, races_of_units

    makers: tuple[Callable[[], Iterator[Strict]], ...] = (
        unwritten_by_harts, unwritten_by_units, unwritten_index_lists, unwritten_accumulators, bounds, buffers,
        device_memory, control, races_of_harts, races_of_units, races_of_two_harts, deadlocks,
    )  # fmt: skip
    return [program for maker in makers for program in maker()]
