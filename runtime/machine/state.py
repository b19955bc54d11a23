"""Memory layout of the machine: structs shared by the reference and the fast interpreter."""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import Array, FnPtr, Ptr, Struct, struct, u8, u16, u32, u64
from mtia.isa.lang.memory import ArrayView
from mtia.isa.state import Hart, Insn
from mtia.isa.xmtia.state import TICKS, ChipParams, CpState, Operand, TileReg

# Units in queue order (codes.Unit); a channel is one hart's queue to one unit: hart * UNITS + unit.
FI_IN, FI_OUT, MLU, DPE, RE, SE = range(6)
UNITS = 6
UNIT_NAMES = ("fi.in", "fi.out", "mlu", "dpe", "re", "se")
HART_NAMES = ("hart A", "hart B")  # of a PE, numbers 0 and 1
CHANNELS = 2 * UNITS
HARTS = 2
ENGINES = 2  # of the fabric interface: read, write

MAX_OPERANDS = 4
MAX_ELEMENTS = 1 << 20  # of a tile: more than any local memory holds, broadcasts included (defined)
CBS = 16  # per hart
MAX_SLOTS = 64  # per circular buffer (defined)
RING = 64  # commands held per channel: queued + in flight, a power of two
RING_MASK = RING - 1
MAX_FLIGHT = 16  # DMA commands in flight per engine
MAX_OUTSTANDING = 1024  # lines in flight per engine
TRAFFIC = 7  # counters of a DMA command

# Event ranks: completions before DMA steps before harts at the same time and PE.
RANK_STEP = UNITS  # + 0 read, + 1 write
RANK_HART = UNITS + 2
NEVER = (1 << 64) - 1
WHEEL = 4096  # cycles for which the event queue has a list each: 64 words of 64 bits
TICK_SHIFT = 8
assert 1 << TICK_SHIFT == TICKS

# Where a hart is.
RUN, WAIT_QUEUE, WAIT_UNITS, WAIT_PUSH, WAIT_POP, WAIT_READ, WAIT_WRITE, WAIT_BARRIER, DONE, HART_OFF = range(10)
HART_STATES = (
    "running", "queue full", "xm.wait", "cb.push", "cb.pop", "cb.waitr", "cb.waitw", "barrier", "finished", "off",
)  # fmt: skip

# What a hart does at its event before it runs on.
DO_RUN, DO_ISSUE, DO_ACCESS, DO_EXIT = range(4)

# Why the interpreter gave a hart back.
AT_HORIZON, AT_COMMAND, AT_ACCESS, AT_EXIT, AT_TRAP = range(5)

# How a run of the machine ended.
ENDED, STOPPED, FAULTED, STUCK, TOO_LONG = range(5)

# What a unit's cycle is spent on.
S_IDLE, S_BUSY, S_DEPENDENCY, S_ELEMENT, S_SPACE, S_MEMORY = range(6)
UNIT_STATES = ("idle", "busy", "dependency", "element", "space", "memory")

# What a hart's cycle is spent on: the waits by HART_STATES, plus outside memory.
H_MEMORY = HART_OFF + 1
HART_CAUSES = HART_OFF + 2

NO_UNIT = 99
NO_OPERAND = 99

# `Trap.detail`: the operand's number from 0, or one of these.
NO_DETAIL, BAD_SLOTS, BAD_SIZE, UNDEFINED, IN_ACCUMULATORS, IN_PADDING, TOO_MANY = range(16, 23)

# Pending reasons of an operand.
P_NONE, P_ELEMENT, P_SPACE = range(3)


@struct
class Event(Struct):
    """One entry of the queue; `key` orders equal times by PE, rank and sequence. Events are numbered from 1."""

    time: u64
    key: u64
    data: u64
    next: u32  # in the list of its cycle or of unused ones, 0 = none
    prev: u32


@struct
class Cycle(Struct):
    """The list of a cycle's events, by key; numbers of events, 0 = none."""

    first: u32
    last: u32
    near: u32  # the one that was added last and is still there, or one beside it
    pad: u32


@struct
class Slot(Struct):
    """Hazard state of one circular-buffer slot: the latest sequence number per channel."""

    write: Array[u32, CHANNELS]
    read: Array[u32, CHANNELS]
    ready: Array[u32, CHANNELS]  # taken at push: what a reader of the other hart waits for
    free: Array[u32, CHANNELS]  # taken at pop: what the next writer waits for


@struct
class Cb(Struct):
    """A circular buffer; `pushed` and `popped` count slots at issue time."""

    base: u32
    slot_bytes: u32
    slots: u32
    space: u32
    pushed: u32
    popped: u32
    waiting: u32  # commands that hold a pending operand on this buffer
    valid: u32
    users: u32  # harts that have named it, a bit each
    shared: u32  # its bytes are also another buffer's, or both harts name it: its commands are checked for races
    slot: Ptr[Slot]  # MAX_SLOTS of them, elsewhere


@struct
class Pending(Struct):
    """An operand whose slot has not been pushed (element) or popped (space) yet."""

    kind: u32
    cb: u32
    number: u32  # absolute slot number
    pad: u32


@struct
class Transfer(Struct):
    """What a command with a global view has beside the others: the view, and a DMA's walk over its lines."""

    latest: u64  # last line's arrival
    row: u64  # the next one
    col: u64  # next byte in the row
    last_line: u64  # last line asked for, + 1
    rows: u64  # of the global view
    traffic: Array[u64, TRAFFIC]  # lines, LLC misses, coalesced lines; ticks lost to NoC, SRAM, DRAM, window
    done: u64
    remote: TileReg  # the global form


@struct
class Command(Struct):
    """A command in a queue: resolved operands and what it waits for.

    The fields are in the order in which a command meets them, and their size is a multiple of 64, so that a command on
    few operands takes few lines of the host's cache.
    """

    op: u32
    operands: u32
    channel: u32
    seq: u32
    order: u64  # issue order in the PE
    issued: u64  # cycle
    started: u64
    finished: u64
    pc: u64
    word: u32
    pending: u32  # operands that still wait for push or pop
    bytes: u64  # DMA payload, otherwise what passes through local memory
    direction: u32  # reduction network: where the neighbour is
    slowed: u32  # cycles that local memory's bandwidth added
    need: Array[u32, CHANNELS]
    wait: Array[Pending, MAX_OPERANDS]
    operand: Array[Operand, MAX_OPERANDS]
    after: Array[u32, CHANNELS]  # races: what has completed before this starts, by channel
    transfer: Ptr[Transfer]  # of one with a global view
    pad: Array[u64, 5]


@struct
class Channel(Struct):
    """One hart's queue to one unit; sequence numbers start at 1.

    The commands lie elsewhere: a PE's queues are looked at together, and so share few lines of the host's cache.
    """

    issued: u32
    started: u32
    retired: u32
    pad: u32
    ring: Ptr[Command]  # RING of them
    transfers: Ptr[Transfer]  # beside them


def ring_of(channel: Any) -> Any:
    """The commands of a channel, on the host."""
    kind: Any = Array[Command, RING]
    return ArrayView(kind, int(channel.ring))


def slots_of(cb: Any) -> Any:
    """The slots of a circular buffer, on the host."""
    kind: Any = Array[Slot, MAX_SLOTS]
    return ArrayView(kind, int(cb.slot))


@struct
class Unit(Struct):
    """A unit's occupation and counters."""

    busy: u32  # commands executing
    state: u32
    since: u64
    end: u64  # completion of the running command, NEVER when idle
    commands: u64
    work: u64  # MACs on the DPE, elements elsewhere
    ideal: u64  # ticks that the work takes at the unit's rate
    cycles: Array[u64, 6]  # by UNIT_STATES


@struct
class Engine(Struct):
    """One DMA direction: the line issuer, the commands in flight and the window of outstanding lines."""

    active: u32  # 1 while a command is issuing lines
    channel: u32  # of the issuing command
    seq: u32
    flight: u32
    next_issue: u64  # ticks
    window: u32  # lines allowed in flight
    cursor: u32
    outstanding: Ptr[u64]  # arrival ticks of the last MAX_OUTSTANDING lines
    lines: u64
    bytes: u64
    llc_hits: u64
    llc_misses: u64
    coalesced: u64
    wait_noc: u64  # ticks lost to contention, by resource
    wait_sram: u64
    wait_dram: u64
    wait_window: u64


@struct
class HartControl(Struct):
    """The command processor's side of one hart."""

    hart: Ptr[Hart]
    state: u32
    arg: u32  # what it waits for: channel, unit mask or CB
    since: u64
    pending: u32  # what it does at its next event
    released: u32  # the barrier it waited at has opened
    insn: Ptr[Insn]  # the instruction that `pending` is about
    code: u64  # host address of the program's decoded text
    commands: u64
    stall: Array[u64, HART_CAUSES]
    start: u64
    end: u64
    cp: Ptr[CpState]


@struct
class Pe(Struct):
    """One processing element; what is large lies elsewhere, so that the PEs of a chip take few pages of the host."""

    index: u32
    row: u32
    col: u32
    rank: u32  # in the launch
    router_row: u32
    router_col: u32
    alive: u32  # harts that have not finished
    pad: u32
    order: u64
    ls: Ptr[u8]
    acc: Ptr[u8]
    shadow: u64  # one byte per byte of local memory, 1 = written; 0 = unchecked
    acc_shadow: u64  # the same of the accumulators
    watch: u64  # counts of commands by block of local memory (`races.py`); 0 = races are not checked
    known: Array[u32, CHANNELS]  # commands that a hart has waited for, by channel
    ls_next: u64  # cycle at which local memory has passed what the units asked of it
    ls_passed: u64  # bytes that the units have read and written there
    harts: Array[HartControl, HARTS]
    units: Array[Unit, UNITS]
    engines: Array[Engine, ENGINES]
    channels: Array[Channel, CHANNELS]
    cbs: Array[Cb, 32]  # 16 of hart A, 16 of hart B


@struct
class Recent(Struct):
    """A line that a row or a column of PEs read lately."""

    arrival: u64  # ticks
    tag: u32  # line number over the table's size, + 1
    more: u32  # ticks after the arrival in which a read of the line still needs no memory


@struct
class DramBank(Struct):
    """A bank of a DRAM channel; times in ticks."""

    free: u64
    row: u64  # the open one, + 1; 0 = none
    refresh: u64  # when the next one falls due


@struct
class Block(Struct):
    """State of one LLC block of up to 16 lines."""

    ready: u64  # ticks at which the last fill arrives
    valid: u16
    dirty: u16
    used: u32  # second chance


# How an operand is used.
A_READ, A_WRITE = 1, 2

# Whether an operand may be, or must be, in the global form.
NOT_GLOBAL, MAY_BE_GLOBAL, MUST_BE_GLOBAL = range(3)

# What a command does on the reduction network.
NO_LINK, SENDS, RECEIVES = range(3)

# Results of an issue.
ISSUED, WAITING, FINISHED, TRAPPED = range(4)


@struct
class OpInfo(Struct):
    """What the command processor knows about an instruction, by table row."""

    unit: u32  # codes.Unit, or NO_UNIT for the command processor itself
    code: u32  # CP: which action
    operands: u32
    local: u32  # DMA: which operand is the local tile, NO_OPERAND for none
    index: u32  # DMA: … the index list
    link: u32  # reduction network: SENDS or RECEIVES
    timing: FnPtr[(Ptr[ChipParams], Ptr[Operand]), u64]
    meaning: FnPtr[(Ptr[ChipParams], Ptr[Operand]), u32]
    access: Array[u8, MAX_OPERANDS]  # READ | WRITE
    field: Array[u8, MAX_OPERANDS]  # where the tile register's number is: 0 rd, 1 rs1, 2 rs2, 3 rs3
    form: Array[u8, MAX_OPERANDS]  # NOT_GLOBAL, …


@struct
class Record(Struct):
    """One executed command of a recorded run."""

    issued: u64
    start: u64
    end: u64
    pc: u64
    address: u64  # DMA: of the global view
    bytes: u64  # DMA payload, otherwise what passed through local memory
    op: u32
    rows: u32  # of the destination, or of the global view
    cols: u32
    depth: u32  # columns of the second operand
    dtype: u32
    slowed: u32  # cycles that local memory's bandwidth added
    seq: u32  # in its channel
    pe: u16
    unit: u8
    channel: u8
    need: Array[u32, CHANNELS]  # the commands it waited for: sequence number per channel of the PE
    traffic: Array[u64, TRAFFIC]  # see `Command`


@struct
class Span(Struct):
    """Cycles that a unit or a hart spent in one state, in a recorded run."""

    start: u64
    end: u64
    pc: u64  # harts: the instruction that waits
    arg: u32  # harts: what it waits for (`HartControl.arg`)
    pe: u16
    track: u8  # unit, or `RANK_HART` + hart
    kind: u8  # a unit's state (`UNIT_STATES`); a hart's (`HART_STATES`, `H_MEMORY`)


@struct
class Sample(Struct):
    """What the memories had moved at some cycle of a recorded run, in bytes."""

    time: u64
    dram_reads: u64
    dram_writes: u64
    sram_reads: u64
    sram_writes: u64


@struct
class Trap(Struct):
    """Why the machine stopped."""

    cause: u32  # 0 = none
    pe: u32
    hart: u32
    unit: u32  # NO_UNIT when the hart itself trapped
    word: u32
    detail: u32
    pc: u64
    value: u64  # address, or what the cause says
    limit: u64
    time: u64
    other_unit: u32  # of a race: the command that was there first
    other_hart: u32
    other_pc: u64


@struct
class Finding(Struct):
    """What a launch read of a buffer that it should not have: bytes, and the first access."""

    bytes: u64
    address: u64
    pc: u64
    pe: u32
    hart: u32
    unit: u32  # NO_UNIT for the hart itself
    pad: u32


@struct
class Area(Struct):
    """A buffer in device memory, by address; its padding reaches to the next multiple of the allocator's unit."""

    start: u64
    size: u64
    room: u64  # size with the padding
    bits: u64  # host address of one bit per byte, 1 = written; 0 = all are
    unwritten: Finding
    past: Finding  # reads of the padding


@struct
class Machine(Struct):
    """The whole chip; arrays that depend on the chip are separate blocks."""

    time: u64
    pes: u32
    harts: u32  # of the launch
    harts_alive: u32
    barrier_waiting: u32
    barrier_number: u64
    barrier_open: u64  # cycle at which the waiting harts go on, 0 = not yet
    changed: u32  # a push or pop happened: the other hart may go on
    stop: u32  # leave at the next horizon: 1 set by the host, `record.DRAIN` because a buffer is nearly full
    sequence: u64  # of events
    reservations: u64  # nonzero: a hart may have reserved memory outside its local memory
    limit: u64  # runaway limit in cycles
    events: Ptr[Event]
    event_count: u64
    event_used: u32  # numbers ever given
    event_free: u32  # first of those given back
    wheel: Ptr[Cycle]  # by cycle modulo WHEEL
    wheel_bits: Ptr[u64]  # which lists hold events
    wheel_words: u64  # which words of `wheel_bits` are not 0
    far: Ptr[u32]  # the heap of the later ones
    far_count: u32
    far_pad: u32
    pe: Ptr[Pe]
    dram: Ptr[u8]
    dram_bytes: u64
    lls: Ptr[u8]
    lls_bytes: u64
    skip: u32  # 1: units take their time but make no values
    pad: u32
    unmade: Ptr[u8]  # one byte per 64 bytes of DRAM and then LLS, 1 = not made by a run without values
    text: Ptr[u8]
    ops: Ptr[OpInfo]
    trace: Ptr[Record]
    trace_count: u64
    trace_capacity: u64  # 0: nothing is recorded
    spans: Ptr[Span]
    span_count: u64
    span_capacity: u64
    samples: Ptr[Sample]
    sample_count: u64
    sample_capacity: u64
    sample_at: u64  # the next sample's cycle, NEVER for none
    sample_period: u64
    # NoC and memories: next free ticks and constants
    link: Ptr[u64]  # noc.py says which is where
    bank: Ptr[u64]
    channel: Ptr[u64]
    unwritten: Ptr[u32]  # lines per channel that wait to be written
    dram_bank: Ptr[DramBank]
    recent_row: Ptr[Recent]
    recent_col: Ptr[Recent]
    tags: Ptr[u32]
    blocks: Ptr[Block]
    hand: Ptr[u8]
    sets: u32
    ways: u32
    line_shift: u32
    block_shift: u32  # log2 of the lines of an LLC block
    piece_lines: u32  # lines of a block that lie together in one channel
    router_rows: u32
    router_cols: u32
    recent_shift: u32  # log2 of the lines that a row or column remembers
    link_ticks: u32
    read_ticks: u32
    write_ticks: u32
    bank_group: u32  # log2 of the power of two in the number of banks
    bank_odd: u32  # the odd factor
    channel_group: u32
    channel_odd: u32
    channel_shift: u32  # log2 of the consecutive bytes in a channel
    row_shift: u32  # log2 of such pieces in a DRAM row
    bank_bits: u32
    dram_reads: u64  # bytes
    dram_writes: u64
    sram_reads: u64
    sram_writes: u64
    sram_fills: u64  # by prefetches
    row_misses: u64
    evictions: u64
    grid: Array[u32, 4]
    cores: u32
    npes: u32
    areas: Ptr[Area]  # by address; none = accesses to device memory are not checked
    area_count: u32
    area_last: u32  # where the last access was
    run_hart: FnPtr[(Ptr[HartControl],), u32]
    trap: Trap
    chip: ChipParams
