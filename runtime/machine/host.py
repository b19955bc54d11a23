"""The machine as the host sees it: its memory, its start, and what it counted."""

from __future__ import annotations

import ctypes
import functools
import json
import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np
from mtia.isa.chip import Chip
from mtia.isa.errors import UserError
from mtia.isa.state import WATCH_SHIFT, Hart
from mtia.isa.xmtia.state import TICKS, CpState, fill_chip_params

from .arrays import numpy_type
from .engine import Interpreter
from .memory import LS_BASE
from .noc import link_count
from .record import DRAIN, ROOM
from .state import (
    CBS,
    CHANNELS,
    ENGINES,
    HART_OFF,
    HARTS,
    MAX_OUTSTANDING,
    MAX_SLOTS,
    NEVER,
    RING,
    WHEEL,
    Block,
    Command,
    Cycle,
    DramBank,
    Event,
    Machine,
    OpInfo,
    Pe,
    Recent,
    Record,
    Sample,
    Slot,
    Span,
    Transfer,
    Trap,
)

__all__ = ["Host", "Region"]

_PROT_NONE = 0
_MAP_NORESERVE = 0x4000  # Linux; not in the mmap module of every Python
_MAP_FIXED_NOREPLACE = 0x100000  # likewise
# Regions of which each PE has as many bytes.
_PARTS = {
    "pes": Pe.size,
    "harts": Hart.size * HARTS,
    "configured": CpState.size * HARTS,
    "rings": Command.size * RING * CHANNELS,
    "transfers": Transfer.size * RING * CHANNELS,
    "slots": Slot.size * MAX_SLOTS * CBS * HARTS,
    "outstanding": 8 * MAX_OUTSTANDING * ENGINES,
}
OTHER_EVENTS = 16  # of a PE at once, beside its DMA commands: harts, units, DMA steps


class Region:
    """Zeroed anonymous memory that takes room only where it is touched; `addr` and `size` in bytes.

    A page before and one behind it cannot be accessed, so that an access that leaves it ends the process. A region that
    is mapped `at` an address, where that is free, stays until the process ends.
    """

    def __init__(self, size: int, at: int | None = None) -> None:
        page = mmap.PAGESIZE
        self.size = max(size, 1)
        self._room = -(-self.size // page) * page
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        if at is not None and _map_at(at - page, page + self._room + page, flags):
            start = at - page
        else:
            self._map = mmap.mmap(-1, page + self._room + page, flags=flags)
            self._anchor = ctypes.c_ubyte.from_buffer(self._map)
            start = ctypes.addressof(self._anchor)
        self.addr = start + page
        for guard in (start, self.addr + self._room):
            if _libc().mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), _PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")

    def bytes(self, offset: int, size: int) -> memoryview:
        """A part of the region, writable."""
        return memoryview((ctypes.c_ubyte * size).from_address(self.addr + offset)).cast("B")

    def clear(self, offset: int = 0, size: int | None = None) -> None:
        """Give the pages of all, or of a range of whole pages, back: they read as zero again."""
        length = self._room - offset if size is None else size
        if _libc().madvise(ctypes.c_void_p(self.addr + offset), ctypes.c_size_t(length), mmap.MADV_DONTNEED):
            raise OSError(ctypes.get_errno(), "madvise")


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _map_at(address: int, size: int, flags: int) -> bool:
    """Map memory at an address if the system allows it and nothing is there."""
    libc = _libc()
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    found = libc.mmap(address, size, mmap.PROT_READ | mmap.PROT_WRITE, flags | _MAP_FIXED_NOREPLACE, -1, 0)
    if found == address:
        return True
    if found not in (None, ctypes.c_void_p(-1).value):  # a system that does not know the flag
        libc.munmap(ctypes.c_void_p(found), ctypes.c_size_t(size))
    return False


class Host:
    """One machine: its memory, and the interpreter that runs it. `dram` may be shared with other machines.

    Numpy views of the state: `pes` (one `Pe` each), and by PE and hart `registers` (`Hart`), `configured` (`CpState`).
    """

    def __init__(self, chip: Chip, engine: Interpreter, dram: Region | None = None) -> None:
        self.chip, self.engine = chip, engine
        for key in ("read_lines", "write_lines"):
            if getattr(chip.fi, key) > MAX_OUTSTANDING:
                raise UserError(f"'fi.{key}' of {chip.name} is {getattr(chip.fi, key)}; at most {MAX_OUTSTANDING}")
        self.regions: dict[str, Region] = {}
        self.machine: Any = Machine.view(self._region("machine", Machine.size))
        m = self.machine
        line = chip.noc.line_bytes
        blocks = max(chip.llc_bytes // (line * chip.sram.block_lines), chip.sram.ways)
        m.pes = chip.pes
        events = (2 * chip.fi.commands + OTHER_EVENTS) * chip.pes
        m.events = self._region("events", Event.size * events)
        m.far = self._region("far", 4 * events)
        m.wheel = self._region("wheel", Cycle.size * WHEEL)
        m.wheel_bits = self._region("wheel_bits", WHEEL // 8)
        self.regions["dram"] = dram or Region(chip.dram.bytes)
        m.dram = self.regions["dram"].addr
        m.dram_bytes = chip.dram.bytes
        m.lls = self._region("lls", chip.sram.lls_bytes)
        m.lls_bytes = chip.sram.lls_bytes
        self.lls_bits = self._region("lls_bits", chip.sram.lls_bytes // 8)
        m.router_rows = -(-chip.grid.rows // chip.noc.cluster_rows)
        m.router_cols = -(-chip.grid.cols // chip.noc.cluster_cols)
        m.link = self._region("links", 8 * link_count(chip.pes, m.router_rows, m.router_cols))
        m.bank = self._region("banks", 8 * chip.sram.banks)
        m.channel = self._region("channels", 8 * chip.dram.channels)
        m.unwritten = self._region("unwritten", 4 * chip.dram.channels)
        m.dram_bank = self._region("dram_banks", DramBank.size * chip.dram.channels * chip.dram.banks)
        m.recent_shift = chip.noc.coalesce_lines.bit_length() - 1
        m.recent_row = self._region("recent_row", (Recent.size << m.recent_shift) * chip.grid.rows)
        m.recent_col = self._region("recent_col", (Recent.size << m.recent_shift) * chip.grid.cols)
        m.sets = blocks // chip.sram.ways
        m.ways = chip.sram.ways
        m.tags = self._region("tags", 4 * blocks)
        m.blocks = self._region("blocks", Block.size * blocks)
        m.hand = self._region("hand", m.sets)
        m.limit = NEVER
        self.ls = self._region("ls", chip.ls.bytes * chip.pes)
        self.acc = self._region("acc", chip.re.bytes * chip.pes)
        for name, size in _PARTS.items():
            self._region(name, size * chip.pes)
        m.pe = self.regions["pes"].addr
        self.harts = self.regions["harts"].addr
        self.pes = np.frombuffer(self.regions["pes"].bytes(0, Pe.size * chip.pes), numpy_type(Pe))
        all_harts = self.regions["harts"].bytes(0, Hart.size * HARTS * chip.pes)
        self.registers = np.frombuffer(all_harts, numpy_type(Hart)).reshape(chip.pes, HARTS)
        configured = self.regions["configured"].bytes(0, CpState.size * HARTS * chip.pes)
        self.configured = np.frombuffer(configured, numpy_type(CpState)).reshape(chip.pes, HARTS)
        self.area_rows: np.ndarray[Any, Any] | None = None
        self._constants()
        self.reset()

    def _region(self, name: str, size: int) -> int:
        self.regions[name] = Region(size)
        return self.regions[name].addr

    def _constants(self) -> None:
        m, chip = self.machine, self.chip
        fill_chip_params(m.chip, chip)
        line = chip.noc.line_bytes
        m.sample_at, m.sample_period = NEVER, 1
        m.line_shift = line.bit_length() - 1
        m.block_shift = chip.sram.block_lines.bit_length() - 1
        m.piece_lines = min(chip.dram.interleave_bytes // line, chip.sram.block_lines)
        m.channel_shift = chip.dram.interleave_bytes.bit_length() - 1
        m.row_shift = (chip.dram.page_bytes // chip.dram.interleave_bytes).bit_length() - 1
        m.bank_bits = chip.dram.banks.bit_length() - 1
        m.link_ticks = -(-line * TICKS // chip.noc.link_bytes_per_clk)
        m.read_ticks = -(-line * TICKS // chip.fi.read_bytes_per_clk)
        m.write_ticks = -(-line * TICKS // chip.fi.write_bytes_per_clk)
        for name, count in (("bank", chip.sram.banks), ("channel", chip.dram.channels)):
            group = (count & -count).bit_length() - 1
            setattr(m, f"{name}_group", group)
            setattr(m, f"{name}_odd", count >> group)

    def set_ops(self, table: bytes, addresses: Mapping[str, int]) -> None:
        """Fill the table of instructions: see `optable.table_of`; `addresses` has `timing of …`, `meaning of …`."""
        start = 8 + int.from_bytes(table[:8], "little")
        names = json.loads(table[8:start])
        self.machine.ops = self._region("ops", len(table) - start)
        self.regions["ops"].bytes(0, len(table) - start)[:] = table[start:]
        ops = np.frombuffer(self.regions["ops"].bytes(0, len(table) - start), numpy_type(OpInfo))
        for what in ("timing", "meaning"):
            ops[what] = [addresses.get(f"{what} of {name}", 0) for name in names]

    def pe(self, index: int) -> Any:
        """The state of a PE."""
        return Pe.view(self.machine.pe + index * Pe.size)

    def reset(self) -> None:
        """Forget everything but the contents of DRAM and LLS, and the constants."""
        for name in ("wheel", "wheel_bits", "links", "banks", "channels", "unwritten", "dram_banks", "recent_row"):
            self.regions[name].clear()
        for name in ("recent_col", "tags", "blocks", "hand", "ls", "acc"):
            self.regions[name].clear()
        self._reset_dram()
        m = self.machine
        for name in ("time", "sequence", "event_count", "event_used", "event_free", "wheel_words", "far_count"):
            setattr(m, name, 0)
        for name in ("barrier_waiting", "barrier_open", "changed", "trace_count"):
            setattr(m, name, 0)
        for name in ("harts", "harts_alive", "reservations", "stop", "span_count", "sample_count"):
            setattr(m, name, 0)
        for name in ("dram_reads", "dram_writes", "sram_reads", "sram_writes", "sram_fills", "evictions", "row_misses"):
            setattr(m, name, 0)
        ctypes.memset(m.trap.addr, 0, Trap.size)
        self._reset_pes(self._clear_pes())

    def _clear_pes(self) -> int:
        """Give back the state of the PEs up to the last one that took part; how many have to be made anew."""
        used = np.flatnonzero((self.pes["harts"]["state"] != HART_OFF).any(axis=1))
        last = int(used[-1]) + 1 if len(used) else 0
        made = last
        for name, size in _PARTS.items():
            region = self.regions[name]
            room = min(-(-last * size // mmap.PAGESIZE) * mmap.PAGESIZE, region.size)
            if room:
                region.clear(0, room)
            made = max(made, -(-room // size))
        return min(made, self.chip.pes)

    def _reset_dram(self) -> None:
        """Let the banks of a channel be refreshed one after another, evenly over the interval."""
        dram = self.chip.dram
        size = DramBank.size * dram.channels * dram.banks
        banks = np.frombuffer(self.regions["dram_banks"].bytes(0, size), numpy_type(DramBank))
        number = np.arange(1, dram.banks + 1, dtype=np.uint64)
        first = number * np.uint64(dram.refresh_interval * TICKS) // np.uint64(dram.banks)
        banks["refresh"] = np.tile(first, dram.channels)

    def _reset_pes(self, count: int) -> None:
        """Make the state of the first PEs, whose memory is zero, that of a PE that does nothing."""
        pes, chip = self.pes[:count], self.chip
        index = np.arange(count, dtype=np.uint64)
        pes["index"], pes["row"], pes["col"] = index, index // chip.grid.cols, index % chip.grid.cols
        pes["router_row"] = pes["row"] // chip.noc.cluster_rows
        pes["router_col"] = pes["col"] // chip.noc.cluster_cols
        pes["ls"] = self.ls + index * chip.ls.bytes
        pes["acc"] = self.acc + index * chip.re.bytes
        pes["units"]["end"] = NEVER
        pes["channels"]["ring"] = self._places("rings", count, CHANNELS)
        pes["channels"]["transfers"] = self._places("transfers", count, CHANNELS)
        pes["cbs"]["slot"] = self._places("slots", count, HARTS * CBS)
        pes["engines"]["outstanding"] = self._places("outstanding", count, ENGINES)
        pes["engines"]["window"] = chip.fi.read_lines, chip.fi.write_lines
        harts = pes["harts"]
        number = np.arange(HARTS * count, dtype=np.uint64).reshape(count, HARTS)
        harts["hart"] = self.harts + number * Hart.size
        harts["state"] = HART_OFF
        registers = self.registers[:count]
        registers["ls_base"], registers["ls_size"], registers["hartid"] = LS_BASE, chip.ls.bytes, number
        registers["ls_ptr"] = pes["ls"][:, None]
        registers["machine"] = self.machine.addr
        registers["peer"] = (self.harts + number * Hart.size)[:, ::-1]
        registers["unit"] = harts["cp"] = self._places("configured", count, HARTS)

    def _places(self, name: str, count: int, parts: int) -> np.ndarray[Any, Any]:
        """Addresses of the equal parts of what each of the first PEs has in a region, by PE and part."""
        number = np.arange(parts * count, dtype=np.uint64).reshape(count, parts)
        return self.regions[name].addr + number * np.uint64(_PARTS[name] // parts)

    def write_ls(self, pes: int, offset: int, data: bytes) -> None:
        """Put bytes into the local memory of the first PEs."""
        size = self.chip.ls.bytes
        for name, content in (("ls", np.frombuffer(data, np.uint8)), ("shadow", np.uint8(1))):
            if name in self.regions:
                memory = np.frombuffer(self.regions[name].bytes(0, size * pes), np.uint8).reshape(pes, size)
                memory[:, offset : offset + len(data)] = content

    def without_values(self, on: bool) -> None:
        """Let units make no values in the next run; call after `strict`."""
        self.machine.skip = int(on)
        if not on:
            return
        if "unmade" not in self.regions:
            self.machine.unmade = self._region("unmade", (self.chip.dram.bytes + self.machine.lls_bytes >> 6) + 1)
        if "shadow" not in self.regions:
            self._region("shadow", self.chip.ls.bytes * self.chip.pes)
        index = np.arange(self.chip.pes, dtype=np.uint64)
        self.pes["shadow"] = self.regions["shadow"].addr + index * self.chip.ls.bytes
        self.pes["watch"] = self.registers["ls_watch"] = 0  # the full run finds races
        self.registers["ls_shadow"] = self.pes["shadow"][:, None]
        self.regions["shadow"].clear()

    def written(self, address: int, size: int) -> None:
        """Device memory has been written from outside: runs without values may depend on it."""
        if "unmade" in self.regions and size:
            self.engine.call("note_unmade", self.machine, address, size, 0)

    def strict(self, unwritten: bool, races: bool) -> None:
        """Switch the checks of local memory on or off for the next run; call after `reset`.

        Both go through the shadow; without the check for unwritten bytes it says that all are written.
        """
        chip, index = self.chip, np.arange(self.chip.pes, dtype=np.uint64)
        watch = 2 * 2 * (chip.ls.bytes >> WATCH_SHIFT)
        for field, name, size, on in (
            ("shadow", "shadow", chip.ls.bytes, unwritten or races),
            ("acc_shadow", "acc_shadow", chip.re.bytes, unwritten or races),
            ("watch", "watch", watch, races),
        ):
            if on:
                region = self.regions.get(name) or Region(size * chip.pes)
                self.regions[name] = region
                region.clear()
                if name != "watch" and not unwritten:
                    region.bytes(0, region.size)[:] = b"\1" * region.size
            self.pes[field] = self.regions[name].addr + index * size if on else 0
        self.registers["ls_shadow"] = self.pes["shadow"][:, None]
        self.registers["ls_watch"] = self.pes["watch"][:, None]

    def areas(self, rows: np.ndarray[Any, Any] | None) -> None:
        """Check accesses to device memory against these buffers, by address; None checks nothing."""
        self.area_rows = rows
        self.machine.areas = 0 if rows is None else rows.ctypes.data
        self.machine.area_count = 0 if rows is None else len(rows)
        self.machine.area_last = 0

    def record(self, period: int) -> None:
        """Keep commands, spans and, every `period` cycles, a sample in the next runs; 0 keeps nothing."""
        m = self.machine
        if period and "trace" not in self.regions:
            m.trace = self._region("trace", Record.size * ROOM)
            m.spans = self._region("spans", Span.size * ROOM)
            m.samples = self._region("samples", Sample.size * ROOM)
        m.trace_capacity = m.span_capacity = m.sample_capacity = ROOM if period else 0
        m.sample_period, m.sample_at = max(period, 1), 0 if period else NEVER

    def drain(self) -> dict[str, np.ndarray[Any, Any]]:
        """Take what has been recorded: arrays `trace`, `spans` and `samples`; the run may go on."""
        m, found = self.machine, {}
        for name, count, kind in (("trace", "trace", Record), ("spans", "span", Span), ("samples", "sample", Sample)):
            size = getattr(m, f"{count}_count") if name in self.regions else 0
            found[name] = (
                np.frombuffer(bytes(self.regions[name].bytes(0, size * kind.size)), numpy_type(kind))
                if size
                else np.zeros(0, numpy_type(kind))
            )
            setattr(m, f"{count}_count", 0)
        if m.stop == DRAIN:
            m.stop = 0
        return found

    def start_hart(self, pe: int, hart: int, time: int) -> None:
        """Make a hart take part from `time` on; its registers are set before."""
        self.engine.call("start_hart", self.machine, pe, hart, time)
