"""Handlers: every row's meaning with its timing around it, threaded by tail calls into the next decoded instruction.

A hart issues in order, by the rules of `hart_timing`. Time and instruction count travel in registers; `Hart` gets them
when the hart leaves.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from mtia.isa import table
from mtia.isa.lang import Fn, FnPtr, Ptr, Struct, ctz, fn, select, struct, tailcall, u32, u64, unlikely, unroll
from mtia.isa.state import EXTERNAL, OK, VLENB, Hart, Insn

from .hart_timing import (
    PERMUTED,
    Groups,
    clocks,
    divider_of,
    element_width,
    group_needed,
    group_written,
    groups_of,
    pace,
)
from .state import AT_ACCESS, AT_COMMAND, AT_EXIT, AT_HORIZON, AT_TRAP

__all__ = [
    "CAUSE_SHIFT", "FETCH_FAULT", "GROUPS", "HANDLER", "NOWHERE", "Code", "dense_handlers", "dense_name",
    "dense_sizes", "fell_off", "handler_of", "illegal", "run_code",
]  # fmt: skip

HANDLER: Any = FnPtr[(Ptr[Hart], Ptr[Insn], u64, u64, u64), u32, "handler"]

CAUSE_SHIFT = 8  # the result of a run is a reason, and above it a trap's cause
FETCH_FAULT = 1  # RISC-V cause: instruction access fault
NOWHERE = 0xFFFF_FFFF  # in `Code.index`: no instruction starts at this half-word

# What has dense handlers: the timing classes of the measured hot set, and the group sizes by element bytes.
_HOT = ("valu", "vmul", "vmac", "vfadd", "vfmul", "vfma", "vload", "vstore")
_VMEMORY = ("vload", "vstore")
GROUPS = {1: (1, 2), 2: (1, 2, 4, 8), 4: (1, 2, 4, 8), 8: (1, 2)}

_MEMORY = ("load", "store", "amo")


@struct
class Code(Struct):
    """A decoded text section: dense instructions and, per half-word of the text, which one starts there."""

    base: u64
    size: u64  # bytes
    insns: Ptr[Insn]
    index: Ptr[u32]


@fn(inline="never")
def leave(h: Ptr[Hart], pc: u64, time: u64, count: u64, reason: u32) -> u32:
    """Write back what travels in registers."""
    h.pc = pc
    h.time = time
    h.instret = count
    return reason


@fn(inline="never")
def stop(h: Ptr[Hart], i: Ptr[Insn], time: u64, count: u64, status: u32) -> u32:
    """Leave at an instruction that did not complete."""
    return leave(h, i.pc, time, count, u32(AT_ACCESS) if status == EXTERNAL else AT_TRAP | status << CAUSE_SHIFT)


@fn
def find(code: Ptr[Code], pc: u64) -> u32:
    """The number of the instruction at an address, or NOWHERE."""
    offset = pc - code.base
    if unlikely(offset >= code.size or offset & 1 != 0):
        return NOWHERE
    return code.index[offset >> 1]


@fn
def run_code(h: Ptr[Hart], code: Ptr[Code]) -> u32:
    """Run from `Hart.pc` until something needs the machine; the result is a reason and a cause."""
    if h.pc == 0:
        return AT_EXIT
    number = find(code, h.pc)
    if number == NOWHERE:
        return AT_TRAP | FETCH_FAULT << CAUSE_SHIFT
    i = code.insns + number
    return HANDLER(i.handler)(h, i, h.time, h.instret, h.horizon)


@fn(cc="handler")
def illegal(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
    """A word that is no instruction of this hart."""
    return leave(h, i.pc, t, n, AT_TRAP | 2 << CAUSE_SHIFT)


@fn(cc="handler")
def fell_off(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
    """Where there is no text: after its end, and the target of a jump out of it."""
    return leave(h, i.pc, t, n, AT_TRAP | FETCH_FAULT << CAUSE_SHIFT)


def _registers(row: table.Instruction, reads: bool) -> tuple[tuple[str, str], ...]:
    """The (ready field, Insn field) of the x and f registers that a row reads or writes."""
    found = []
    for operand in row.operands:
        name = operand.kind.name[0]
        if name in "xf" and operand.kind.register and (operand.reads if reads else operand.writes):
            found.append((f"ready_{name}", operand.slot))
    return tuple(found)


def handler_of(row: table.Instruction, second: Fn | None = None) -> Fn:
    """The handler of a row; a plain one may go on with the handler `second`, whatever stands behind it."""
    if row.unit != "hart":
        return _command(_registers(row, True))
    sources, results = _registers(row, True), _registers(row, False)
    if row.flow is table.Flow.BRANCH:
        return _branch(row.meaning, sources)
    if row.flow is table.Flow.JUMP:
        return _jump(row.meaning, results)
    if row.flow is table.Flow.INDIRECT:
        return _indirect(row.meaning, sources, results)
    if any(operand.kind.name == "v" for operand in row.operands):
        return _vector(row.meaning, sources, results, groups_of(row), row.timing in _VMEMORY)
    if row.timing == "vset":
        return _configure(row.meaning, sources, results)
    counters = row.timing in ("csr", "system")
    return _plain(row.meaning, sources, results, row.timing in _MEMORY, counters, divider_of(row), second)


@cache
def _plain(
    meaning: Any, sources: Any, results: Any, memory: bool, counters: bool, divider: int, second: Any = None
) -> Fn:
    divides, known = divider >= 0, second is not None

    @fn(cc="handler")
    def handler(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
        ready = u64(0)
        for source in unroll(sources):
            ready = max(ready, getattr(h, source[0])[getattr(i, source[1])])
        at = max(t, ready)
        if divides:
            at = max(at, h.free[divider])
        if memory:
            if unlikely(at >= horizon):
                return stop_at(h, i, at, n)
        if counters:
            h.time = at
            h.instret = n
        status = meaning(h, i)
        if unlikely(status != OK):
            return stop(h, i, at, n, status)
        if counters:
            note_dense(h)
        if divides:
            h.free[divider] = at + u64(i.latency)
        for result in unroll(results):
            getattr(h, result[0])[getattr(i, result[1])] = at + u64(i.latency)
        following = i + 1
        if known:
            return tailcall(second, h, following, at + 1, n + 1, horizon)
        return tailcall(HANDLER(following.handler), h, following, at + 1, n + 1, horizon)

    return handler


@fn(inline="never")
def stop_at(h: Ptr[Hart], i: Ptr[Insn], time: u64, count: u64) -> u32:
    """Leave before an instruction because of the horizon."""
    return leave(h, i.pc, time, count, u32(AT_HORIZON))


@cache
def _branch(meaning: Any, sources: Any) -> Fn:
    @fn(cc="handler")
    def handler(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
        ready = u64(0)
        for source in unroll(sources):
            ready = max(ready, getattr(h, source[0])[getattr(i, source[1])])
        at = max(t, ready)
        if meaning(h, i):
            target = Ptr[Insn](i.target)
            after = at + u64(i.latency)
            if unlikely(after >= horizon):
                return stop_at(h, target, after, n + 1)
            return tailcall(HANDLER(target.handler), h, target, after, n + 1, horizon)
        following = i + 1
        return tailcall(HANDLER(following.handler), h, following, at + 1, n + 1, horizon)

    return handler


@cache
def _jump(meaning: Any, results: Any) -> Fn:
    @fn(cc="handler")
    def handler(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
        status = meaning(h, i)
        if unlikely(status != OK):
            return stop(h, i, t, n, status)
        for result in unroll(results):
            getattr(h, result[0])[getattr(i, result[1])] = t + 1
        target = Ptr[Insn](i.target)
        after = t + u64(i.latency)
        if unlikely(after >= horizon):
            return stop_at(h, target, after, n + 1)
        return tailcall(HANDLER(target.handler), h, target, after, n + 1, horizon)

    return handler


@fn(inline="never")
def nowhere(h: Ptr[Hart], i: Ptr[Insn], target: u64, time: u64, count: u64) -> u32:
    """An indirect jump that finds no instruction: the end of the hart at 0, otherwise a trap at the target."""
    return leave(h, target, time, count, u32(AT_EXIT) if target == 0 else u32(AT_TRAP | FETCH_FAULT << CAUSE_SHIFT))


@cache
def _indirect(meaning: Any, sources: Any, results: Any) -> Fn:
    @fn(cc="handler")
    def handler(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
        ready = u64(0)
        for source in unroll(sources):
            ready = max(ready, getattr(h, source[0])[getattr(i, source[1])])
        at = max(t, ready)
        to = meaning(h, i)
        for result in unroll(results):
            getattr(h, result[0])[getattr(i, result[1])] = at + 1
        after = at + u64(i.latency)
        code = Ptr[Code](i.a)
        number = find(code, to)
        if unlikely(number == NOWHERE):
            return nowhere(h, i, to, after, n + 1)
        target = code.insns + number
        if unlikely(after >= horizon):
            return stop_at(h, target, after, n + 1)
        return tailcall(HANDLER(target.handler), h, target, after, n + 1, horizon)

    return handler


@cache
def _command(sources: Any) -> Fn:
    @fn(cc="handler")
    def handler(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
        ready = u64(0)
        for source in unroll(sources):
            ready = max(ready, getattr(h, source[0])[getattr(i, source[1])])
        at = max(t, ready)
        return leave(h, i.pc, at, n + 1, u32(AT_COMMAND))

    return handler


@fn
def note_dense(h: Ptr[Hart]) -> None:
    """Set `Hart.v_dense`: which of the dense handlers may run."""
    whole = h.vl == h.vlmax and h.vlmul8 >= 8 and h.vstart == 0 and h.frm == 0 and h.exact == 0
    h.v_dense = select(whole, h.vsew | (h.vlmul8 >> 3) << 8, u32(0))


@fn(inline="never")
def stop_vector(h: Ptr[Hart], i: Ptr[Insn], time: u64, count: u64, status: u32) -> u32:
    """As `stop`; the instruction may have set vstart."""
    note_dense(h)
    return stop(h, i, time, count, status)


@cache
def _configure(meaning: Any, sources: Any, results: Any) -> Fn:
    """vsetvli and its kin: also what the vector handlers want to know of vtype."""

    @fn(cc="handler")
    def handler(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
        ready = u64(0)
        for source in unroll(sources):
            ready = max(ready, getattr(h, source[0])[getattr(i, source[1])])
        at = max(t, ready)
        before = h.vtype
        length = h.vl
        status = meaning(h, i)
        if unlikely(status != OK):
            return stop(h, i, at, n, status)
        if h.v_dense == 0 or h.vl != length or h.vtype != before:
            h.v_shift = ctz(h.vsew | 8)
            note_dense(h)
        for result in unroll(results):
            getattr(h, result[0])[getattr(i, result[1])] = at + u64(i.latency)
        following = i + 1
        return tailcall(HANDLER(following.handler), h, following, at + 1, n + 1, horizon)

    return handler


def dense_name(row: table.Instruction, size: int, registers: int) -> str:
    """The name of the handler for whole groups of registers with every element active."""
    return f"{row.name} e{8 * size} m{registers}"


@cache
def dense_sizes(row: table.Instruction) -> frozenset[int]:
    """The element widths in bytes for which a row has dense handlers."""
    if row.unit != "hart" or row.meaning is None or row.timing not in _HOT:
        return frozenset()
    if row.timing in _VMEMORY and row.match >> 29:
        return frozenset()  # several fields
    return frozenset(_dense_forms(row))


def _dense_forms(row: table.Instruction) -> Any:
    """Element width in bytes -> registers of a group -> the work on whole groups."""
    return getattr(row.meaning, "made_of", {}).get("dense", {})


def dense_handlers(row: table.Instruction) -> dict[str, Fn]:
    """Handlers of a row for single element widths and group sizes; each falls back to the row's own."""
    found: dict[str, Fn] = {}
    parts = _registers(row, True), _registers(row, False), groups_of(row), row.timing in _VMEMORY
    for size in sorted(dense_sizes(row)):
        make = _dense_forms(row)[size]
        for registers in GROUPS[size]:
            key = size | registers << 8
            found[dense_name(row, size, registers)] = _dense(make(registers), handler_of(row), key, *parts)
    return found


@cache
def _dense(work: Any, general: Any, key: int, sources: Any, results: Any, groups: Groups, memory: bool) -> Fn:
    """Work on whole groups of one register a clock, while `Hart.v_dense` is the key; else the general handler."""
    registers = key >> 8
    reads, writes = groups.reads, groups.writes

    @fn(cc="handler")
    def handler(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
        if unlikely(h.v_dense != key):
            return tailcall(general, h, i, t, n, horizon)
        ready = u64(0)
        for source in unroll(sources):
            ready = max(ready, getattr(h, source[0])[getattr(i, source[1])])
        at = max(t, ready)
        for group in unroll(reads):
            first = u32(getattr(i, group[0]))
            for k in unroll(range(registers)):
                at = max(at + k, h.ready_v[first + k]) - k
        if memory:
            if unlikely(at >= horizon):
                return stop_at(h, i, at, n)
        status = work(h, i)
        if unlikely(status != OK):
            return stop(h, i, at, n, status)
        ready = at + u64(i.latency)
        for group in unroll(writes):
            first = u32(getattr(i, group[0]))
            for k in unroll(range(registers)):
                h.ready_v[first + k] = ready + k
        for result in unroll(results):
            getattr(h, result[0])[getattr(i, result[1])] = ready + (registers - 1)
        following = i + 1
        return tailcall(HANDLER(following.handler), h, following, at + registers, n + 1, horizon)

    return handler


@cache
def _vector(meaning: Any, sources: Any, results: Any, groups: Groups, memory: bool) -> Fn:
    masked, permuted, lonely, whole = groups.masked, groups.permuted, groups.lonely, groups.registers * VLENB
    reads, writes, read_singles, write_singles = groups.reads, groups.writes, groups.read_singles, groups.write_singles

    @fn(cc="handler")
    def handler(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
        ready = u64(0)
        for source in unroll(sources):
            ready = max(ready, getattr(h, source[0])[getattr(i, source[1])])
        at = max(t, ready)
        for slot in unroll(read_singles):
            at = max(at, h.ready_v[getattr(i, slot)])
        if masked:
            if i.vm == 0:
                at = max(at, h.ready_v[0])
        elements = u64(whole) if whole else h.vl
        rate = pace(h, i)
        for group in unroll(reads):
            width = element_width(h, u32(group[1]))
            step = u64(PERMUTED) if permuted else rate
            at = group_needed(h, i, u32(getattr(i, group[0])), u64(group[2]), width, step, elements, at)
        if memory:
            if unlikely(at >= horizon):
                return stop_at(h, i, at, n)
        status = meaning(h, i)
        if unlikely(status != OK):
            return stop_vector(h, i, at, n, status)
        busy = u64(1) if lonely else max(clocks(i, rate, elements), u64(1))
        ready = at + u64(i.latency)
        for group in unroll(writes):
            width = element_width(h, u32(group[1]))
            group_written(h, i, u32(getattr(i, group[0])), width, rate, elements, ready)
        for slot in unroll(write_singles):
            h.ready_v[getattr(i, slot)] = ready + busy - 1
        for result in unroll(results):
            getattr(h, result[0])[getattr(i, result[1])] = ready + busy - 1
        following = i + 1
        return tailcall(HANDLER(following.handler), h, following, at + busy, n + 1, horizon)

    return handler
