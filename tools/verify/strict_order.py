"""The corpus of `mtiac verify strict`, continued: races and deadlocks."""

from __future__ import annotations

from collections.abc import Iterator

from mtia.tools.verify.strict_cases import DATA, FIRST, HERE, IN, MLU, OUT, SE
from mtia.tools.verify.strict_programs import LS, Source, Strict

__all__ = ["deadlocks", "races_of_harts", "races_of_two_harts", "races_of_units"]

# Commands that write, or read, the 64 bytes of td0 in cb0.
_WRITERS = {
    "fi.in": ("xm.dma.in td0, td6", IN), "mlu": ("xm.mlu.fill td0, td31", MLU), "se": ("xm.se.cvt td0, td31", SE),
}  # fmt: skip
_READERS = {
    "fi.out": ("xm.dma.out td6, td0", OUT),
    "mlu": ("xm.mlu.copy td2, td0", MLU),
    "se": ("xm.se.neg td2, td0", SE),
}


def _prepared() -> Source:
    """td0 (written) and td2 in local memory, td6 in device memory, td31 a number."""
    source = Source().cb(0, DATA, 64).cb(2, DATA + 256, 64).tile(0, 0, 4, 4).tile(2, 2, 4, 4).data(6, 4, 4)
    return source("xm.td.imm td31, zero, zero", "xm.mlu.fill td0, td31").wait()


def races_of_harts() -> Iterator[Strict]:
    """A hart and a command: at the first and last byte, beside them, with the right and the wrong wait, much later."""
    for access, commands in (("sb", {**_WRITERS, **_READERS}), ("lb", _WRITERS)):
        for unit, (command, bit) in commands.items():
            verb = "writes" if (command, bit) in _WRITERS.values() else "reads"
            for name, offset, wait, sound in (
                ("first byte", 0, "", False), ("last byte", 63, "", False), ("byte behind", 64, "", True),
                ("byte before", -1, "", True), ("long after", 5, "delay", False), ("waits", 5, "xm.wait", True),
                ("first byte, waits", 0, "xm.wait", True),
                ("last byte, waits", 63, "xm.wait", True), ("waits for others", 5, "others", False),
                ("waits for the slot", 5, "xm.cb.waitw cb0", True),
            ):  # fmt: skip
                source = _prepared().at(DATA)("sb zero, -1(t0)", "sb zero, 64(t0)")
                source(command + ("" if sound else FIRST))
                if wait in ("xm.wait", "others"):
                    source.wait(bit if wait == "xm.wait" else 63 & ~bit)
                elif wait == "delay":
                    source.delay()
                elif wait:
                    source(wait)
                source(f"{access} t1, {offset}(t0)" + ("" if sound else HERE))
                title = f"{access} against {command}, {name}"
                mine = "writes" if access == "sb" else "reads"
                at = f"{LS + DATA + offset:#x}"
                says = (f"hart A {mine} local memory {at} to {at}, which {unit} of hart A {verb}",)
                yield Strict(title, source.text()) if sound else Strict(title, source.text(), "RACE", None, says)


def races_of_units() -> Iterator[Strict]:
    """Two commands on bytes that two circular buffers share: all, some, none of them, and interleaved tiles."""
    second = {"se": "xm.se.cvt td1, td31", "mlu": "xm.mlu.fill td1, td31", "fi.out": "xm.dma.out td6, td1"}
    for unit, command in second.items():
        for name, offset, wait, sound in (
            ("the same bytes", 0, "", False), ("the last byte", 60, "", False), ("behind", 64, "", True),
            ("waits", 0, "wait", True), ("waits for others", 0, "others", False), ("long after", 0, "delay", False),
            ("last byte, waits", 60, "wait", True),
        ):  # fmt: skip
            source = Source().cb(0, DATA, 64).cb(1, DATA + offset, 64).tile(0, 0, 4, 4).tile(1, 1, 4, 4)
            source.data(6, 4, 4)("xm.td.imm td31, zero, zero", "xm.mlu.fill td1, td31").wait()
            source("xm.dma.in td0, td6" + ("" if sound else FIRST))
            if wait == "delay":
                source.delay()
            elif wait:
                source.wait(IN if wait == "wait" else 63 & ~IN)
            source(command + ("" if sound else HERE))
            title = f"{command} against a transfer in, {name}"
            says = (f"race: {unit} of hart A touches local memory {LS + DATA + offset:#x} to {LS + DATA + 63:#x}",)
            yield Strict(title, source.text()) if sound else Strict(title, source.text(), "RACE", unit, says)
    for columns, sound in ((4, True), (0, False)):  # even and odd columns of one area
        source = Source().cb(0, DATA, 64).cb(1, DATA, 64).data(6, 4, 2)("xm.td.imm td31, zero, zero")
        source.tile(0, 0, 4, 2, strides=(16, 8)).tile(1, 1, 4, 2, offset=columns, strides=(16, 8))
        source("xm.dma.in td0, td6" + ("" if sound else FIRST), "xm.se.cvt td1, td31" + ("" if sound else HERE))
        title = f"interleaved columns, {columns} bytes apart"
        yield Strict(title, source.text()) if sound else Strict(title, source.text(), "RACE", "se")
    for link, sound in (("xm.se.neg td2, td0", True), ("xm.se.cvt td2, td31", False)):
        # td3 shares td0's bytes; a command on td2 is between them only if it reads td0.
        source = Source().cb(0, DATA, 64).cb(2, DATA + 256, 64).cb(3, DATA, 64).data(6, 4, 4).data(7, 4, 4)
        source.tile(0, 0, 4, 4).tile(2, 2, 4, 4).tile(3, 3, 4, 4)("xm.td.imm td31, zero, zero")
        source("xm.dma.in td0, td6" + ("" if sound else FIRST), link, "xm.cb.waitw cb2")
        source("xm.mlu.fill td3, td31" + ("" if sound else HERE))
        title = f"ordered through {link}"
        yield Strict(title, source.text()) if sound else Strict(title, source.text(), "RACE", "mlu")
    for same in (True, False):  # one buffer: the slot orders the two
        source = Source().cb(0, DATA, 64).cb(1, DATA, 64).tile(0, 0, 4, 4).tile(1, 0 if same else 1, 4, 4)
        source.data(6, 4, 4)("xm.td.imm td31, zero, zero", "xm.dma.in td0, td6" + ("" if same else FIRST))
        source("xm.se.neg td1, td1" + ("" if same else HERE))
        title = f"a command after a transfer, {'one buffer' if same else 'two buffers'}"
        yield Strict(title, source.text()) if same else Strict(title, source.text(), "RACE", "se")
    for apart, sound in ((256, True), (0, False)):  # accumulators
        source = Source().cb(0, 0, 256, 1, 1).cb(1, apart, 256, 1, 1).cb(2, DATA, 256).tile(0, 0, 4, 4).tile(1, 1, 4, 4)
        source.tile(2, 2, 4, 4, 1, 2)("xm.td.imm td31, zero, zero", "xm.se.cvt td2, td31", "xm.re.zero td1").wait()
        source("xm.dpe.mmz td0, td2, td2" + ("" if sound else FIRST), "xm.re.zero td1" + ("" if sound else HERE))
        title = f"accumulators {apart} bytes apart"
        says = ("race: re of hart A touches RE bytes 0x0 to 0x3f",)
        yield Strict(title, source.text()) if sound else Strict(title, source.text(), "RACE", "re", says)


def races_of_two_harts() -> Iterator[Strict]:
    """Hart A fills a slot of its buffer, hart B uses it: with push and pop in order, without them a race."""
    body = {
        "xm.se.neg td2, td1": ("se", True), "xm.dma.out td7, td1": ("fi.out", True), "lw t1, 0(t0)": (None, False),
        "sw zero, 0(t0)": (None, False),
    }  # fmt: skip
    for command, (unit, queued) in body.items():
        for ordered in (True, False):
            source = Source().cb(2, DATA + 512, 64).tile(2, 2, 4, 4)("beqz a2, hart_a")
            source("xm.barrier zero").data(7, 4, 4, base="s1").tile(1, 16, 4, 4, side=int(not ordered)).at(DATA)
            if ordered and not queued:
                source("xm.cb.waitr cb16")
            elif not queued:
                source.delay(2000)  # a hart may run 1000 cycles ahead of the other
            source(command + ("" if ordered else HERE), *(["xm.cb.pop cb16"] if ordered else []), "ret", "hart_a:")
            source.cb(0, DATA, 64).tile(0, 0, 4, 4).data(6, 4, 4)("xm.barrier zero")
            source("xm.dma.in td0, td6" + ("" if ordered else FIRST), *(["xm.cb.push cb0"] if ordered else []))
            title = f"{command} on the other hart, {'ordered' if ordered else 'not ordered'}"
            if ordered:
                yield Strict(title, source.text(), cores=2)
            elif queued:  # a command on the write side waits for nothing of the other hart's
                text = source.text().replace("xm.barrier zero\n", "xm.barrier zero\n", 1)
                yield Strict(title, text, "RACE", unit, cores=2)
            else:
                yield Strict(title, source.text(), "RACE", unit, cores=2)


def deadlocks() -> Iterator[Strict]:
    """Waits that nothing ends, each beside one that ends."""
    base = Source().cb(0, DATA, 64, 2).tile(0, 0, 4, 4).tile(1, 0, 4, 4, side=0).data(6, 4, 4).lines
    single: dict[str, tuple[list[str], bool, str]] = {
        "pop of what was pushed": (["xm.cb.push cb0", "xm.cb.pop cb0"], True, ""),
        "pop of an empty buffer": (["xm.cb.pop cb0"], False, "cb.pop of cb0 of hart A (pushed 0, popped 0, 2 slots)"),
        "two pushes into two slots": (["xm.cb.push cb0", "xm.cb.push cb0"], True, ""),
        "a third push into two slots": (
            ["xm.cb.push cb0", "xm.cb.push cb0", "xm.cb.push cb0"], False,
            "cb.push of cb0 of hart A (pushed 2, popped 0, 2 slots): it is full and nobody pops, hart B does not take",
        ),
        "waitr after a push": (["xm.cb.push cb0", "xm.cb.waitr cb0"], True, ""),
        "waitr of an empty buffer": (["xm.cb.waitr cb0"], False, "cb.waitr of cb0 of hart A (pushed 0, popped 0"),
        "waitw with a free slot": (["xm.cb.push cb0", "xm.cb.waitw cb0"], True, ""),
        "waitw of a full buffer": (
            ["xm.cb.push cb0", "xm.cb.push cb0", "xm.cb.waitw cb0"], False, "cb.waitw of cb0 of hart A (pushed 2",
        ),
        "a read side that is pushed": (
            ["xm.dma.in td0, td6", "xm.cb.push cb0", "xm.dma.out td6, td1", "xm.wait zero"], True, "",
        ),
        "a read side that is never pushed": (
            ["xm.dma.in td0, td6", "xm.dma.out td6, td1", "xm.wait zero"], False,
            "circle: hart A -> fi.out of hart A -> hart A",
        ),
    }  # fmt: skip
    for name, (lines, sound, part) in single.items():
        source = Source()
        source.lines = [*base, *lines[:-1], lines[-1] + ("" if sound else HERE)]
        yield Strict(name, source.text()) if sound else Strict(name, source.text(), "DEADLOCK", None, (part,))
    for second, sound in (("xm.barrier zero", True), ("nop", False)):
        source = Source()("bnez a2, hart_b", "xm.barrier zero" + ("" if sound else HERE), "ret", "hart_b:", second)
        says = ("barrier, which PE 0 hart B will not reach: ended",)
        title = f"a barrier, and {second} on the other hart"
        yield (
            Strict(title, source.text(), cores=2)
            if sound
            else Strict(title, source.text(), "DEADLOCK", None, says, cores=2)
        )
    for crossed in (False, True):
        source = Source().cb(0, DATA, 64)("xm.barrier zero", "bnez a2, hart_b")
        source(*(["xm.cb.waitr cb16" + HERE, "xm.cb.push cb0"] if crossed else ["xm.cb.push cb0", "xm.cb.waitr cb16"]))
        source("ret", "hart_b:", "xm.cb.waitr cb16", "xm.cb.push cb0")
        title = f"two harts that hand each other a slot, {'both wait first' if crossed else 'one pushes first'}"
        says = ("circle: hart A -> hart B -> hart A",)
        yield Strict(title, source.text(), "DEADLOCK" if crossed else None, None, says if crossed else (), cores=2)
    for both in (True, False):
        source = Source().cb(0, 0, 256, 1, 1).tile(0, 0, 4, 4)("xm.re.zero td0", "bnez a1, right")
        source("xm.re.send td0, 0" + ("" if both else HERE), "ret", "right:")
        source(*(["xm.re.recv td0, 2"] if both else []))
        says = ("re of hart A waits: xm.re.recv left of PE 1, whose harts have ended",)
        title = f"a send {'with' if both else 'without'} its recv"
        yield Strict(
            title, source.text(), None if both else "DEADLOCK", None if both else "re", () if both else says, pes=2
        )
