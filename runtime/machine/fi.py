"""Fabric interface: the walk of a DMA over the lines of memory, and what it copies."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, i32, i64, memcpy, mulhu, select, u8, u16, u32, u64
from mtia.isa.state import READ, WRITE, Hart
from mtia.isa.xmtia.codes import Cause, DType
from mtia.isa.xmtia.state import MAX_RANK, Operand, TileReg

from .areas import check_area
from .events import push_event
from .hazards import BOUNDS, FORM, IN_LS, LOCAL, SPACE, TYPE, element_bytes, fault
from .memory import (
    DRAM_BASE,
    LLS_BASE,
    prefetch_line,
    read_line,
    write_line,
)
from .races import check_start
from .record import count_traffic
from .reserve import break_external
from .shadow import UNWRITTEN, check_tile, first_unwritten, mark_tile
from .state import (
    FI_IN,
    MAX_ELEMENTS,
    NEVER,
    NO_DETAIL,
    NO_OPERAND,
    RANK_STEP,
    RING_MASK,
    TICK_SHIFT,
    TOO_MANY,
    UNITS,
    Command,
    Machine,
    OpInfo,
    Pe,
)
from .unmade import list_unmade

FAR = 1 << 60  # bytes between elements of one view: more than there is of device memory
SHAPE, ALIGN = int(Cause.SHAPE), int(Cause.ALIGN)
I64, I32 = int(DType.I64), int(DType.I32)


@fn
def region(m: Ptr[Machine], address: u64, size: u64) -> u64:
    """Host address of a range of DRAM or LLS, 0 if it lies in neither."""
    inside = address - DRAM_BASE
    if inside < m.dram_bytes and size <= m.dram_bytes - inside:
        return u64(m.dram) + inside
    inside = address - LLS_BASE
    if inside < m.lls_bytes and size <= m.lls_bytes - inside:
        return u64(m.lls) + inside
    return 0


@fn
def first_column(g: Ptr[TileReg]) -> i64:
    """First valid index of the last dimension."""
    return max(g.lo[g.rank - 1], i64(0))


@fn
def last_column(g: Ptr[TileReg]) -> i64:
    """End of the valid indices of the last dimension."""
    return min(g.hi[g.rank - 1], i64(g.size[g.rank - 1]))


@fn
def row_valid(g: Ptr[TileReg], row: u64) -> boolean:
    """Whether a row's outer indices are all in their valid ranges."""
    rest = row
    d = g.rank - 1
    while d > 0:
        d -= 1
        at = i64(rest % g.size[d])
        rest = rest // g.size[d]
        if at < g.lo[d] or at >= g.hi[d]:
            return False
    return True


@fn
def index_value(o: Ptr[Operand], row: u64) -> i64:
    """Element `row` of an index list."""
    place = u64(o.ptr) + row * u64(o.rstride)
    if o.dtype == I64:
        return Ptr[i64](place)[0]
    return i64(Ptr[i32](place)[0])


@fn
def row_address(g: Ptr[TileReg], command: Ptr[Command], index: u32, row: u64) -> u64:
    """Address of element (row, 0) of the global view."""
    if index != NO_OPERAND:
        return g.base + u64(index_value(addr(command.operand[index]), row) * g.stride[0])
    rest = row
    address = g.base
    d = g.rank - 1
    while d > 1:
        d -= 1
        address += (rest % g.size[d]) * u64(g.stride[d])
        rest = rest // g.size[d]
    if d > 0:
        address += rest * u64(g.stride[0])
    return address


@fn
def too_far(n: u64, stride: i64) -> boolean:
    """Whether n strides are more than any memory, so that sums of them might wrap."""
    size = select(stride < 0, 0 - u64(stride), u64(stride))
    return mulhu(n, size) != 0 or n * size > FAR


@fn
def check_range(m: Ptr[Machine], g: Ptr[TileReg], indexed: boolean) -> u32:
    """Whether the valid range lies in device memory; a trap cause or 0."""
    low = i64(0)
    high = i64(element_bytes(g.dtype))
    for d in range(u32(0), g.rank):
        first = max(g.lo[d], i64(0))
        end = min(g.hi[d], i64(g.size[d]))
        if first >= end:
            return 0
        if not (indexed and d == 0):
            if too_far(u64(end), g.stride[d]):
                return fault(addr(m.trap), u32(BOUNDS), u64(g.stride[d]), u64(FAR), u32(0))
            if g.stride[d] >= 0:
                low += first * g.stride[d]
                high += (end - 1) * g.stride[d]
            else:
                low += (end - 1) * g.stride[d]
                high += first * g.stride[d]
    start = g.base + u64(low)
    if not indexed and region(m, start, u64(high - low)) == 0:
        return fault(addr(m.trap), u32(BOUNDS), start, start + u64(high - low), u32(0))
    if start % u64(m.chip.fi_align_bytes) != 0:
        return fault(addr(m.trap), u32(ALIGN), start, u64(m.chip.fi_align_bytes), u32(0))
    return 0


@fn
def plain(m: Ptr[Machine], o: Ptr[Operand], k: u32) -> boolean:
    """Whether an operand is a view of local memory; else the trap says what it is."""
    if o.form != LOCAL:
        fault(addr(m.trap), FORM, u64(o.form), u64(LOCAL), k)
        return False
    if o.space != IN_LS:
        fault(addr(m.trap), u32(SPACE), u64(o.space), u64(IN_LS), k)
        return False
    return True


@fn
def check_dma(m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command], info: Ptr[OpInfo]) -> u32:
    """Check types, shapes and addresses of a DMA and count its rows; a trap cause or 0."""
    g = addr(command.transfer.remote)
    if g.rank == 0 or g.rank > MAX_RANK:
        return fault(addr(m.trap), u32(SHAPE), u64(g.rank), u64(MAX_RANK), u32(0))
    if element_bytes(g.dtype) == 0:
        return fault(addr(m.trap), u32(TYPE), u64(g.dtype), u64(0), u32(0))
    rows = u64(1)
    elements = u64(1)
    for d in range(u32(0), g.rank):
        if g.size[d] > MAX_ELEMENTS or elements * g.size[d] > MAX_ELEMENTS:
            return fault(addr(m.trap), u32(SHAPE), g.size[d], u64(MAX_ELEMENTS), u32(TOO_MANY))
        rows = elements
        elements *= g.size[d]
    command.transfer.rows = rows
    if info.local != NO_OPERAND:
        o = addr(command.operand[info.local])
        if not plain(m, o, info.local):
            return m.trap.cause
        if element_bytes(o.dtype) != element_bytes(g.dtype):
            return fault(addr(m.trap), u32(TYPE), u64(o.dtype), u64(g.dtype), info.local)
        if u64(o.rows) != rows or u64(o.cols) != g.size[g.rank - 1]:
            return fault(addr(m.trap), u32(SHAPE), u64(o.rows), rows, info.local)
    if info.index != NO_OPERAND:
        o = addr(command.operand[info.index])
        if not plain(m, o, info.index):
            return m.trap.cause
        if g.rank != 2 or u64(o.rows) < rows or o.cols != 1:
            return fault(addr(m.trap), u32(SHAPE), u64(o.rows), rows, info.index)
        if o.dtype != I32 and o.dtype != I64:
            return fault(addr(m.trap), u32(TYPE), u64(o.dtype), u64(I32), info.index)
        if m.skip != 0:
            if list_unmade(m, pe, o, rows) != 0:
                return m.trap.cause
        elif pe.shadow != 0 and check_tile(m, pe, o) != 0:
            return m.trap.cause
    return check_range(m, g, info.index != NO_OPERAND)


@fn
def start_dma(m: Ptr[Machine], pe: Ptr[Pe], unit: u32, n: u32, now: u64) -> u32:
    """Let an engine begin with a channel's head; returns a trap cause or 0."""
    e = addr(pe.engines[unit])
    channel = addr(pe.channels[n])
    command = addr(channel.ring[channel.started & RING_MASK])
    walk = command.transfer
    cause = check_dma(m, pe, command, addr(m.ops[command.op]))
    if cause == 0 and pe.watch != 0:
        cause = check_start(m, pe, command)
    if cause != 0:
        return cause
    channel.started += 1
    e.active = 1
    e.flight += 1
    e.channel = n
    e.seq = command.seq
    first = command.issued + u64(m.chip.cp_dispatch) + u64(m.chip.fi_start)
    if first < now:
        first = now
    if e.next_issue < first << TICK_SHIFT:
        e.next_issue = first << TICK_SHIFT
    command.started = now
    command.finished = NEVER
    walk.latest = e.next_issue
    walk.row = 0
    walk.col = 0
    walk.last_line = 0
    command.bytes = 0
    count_traffic(e, command, u64(NEVER))
    push_event(m, e.next_issue >> TICK_SHIFT, pe.index, unit + RANK_STEP, u64(0))
    return 0


@fn
def dma_line(
    m: Ptr[Machine], pe: Ptr[Pe], unit: u32, command: Ptr[Command], info: Ptr[OpInfo], at: u64, size: u64, t: u64
) -> u64:
    """Send the request of one line, or of `size` bytes of it, at tick t; returns the tick of its completion."""
    e = addr(pe.engines[unit])
    arrival = t
    if unit != FI_IN:
        arrival = write_line(m, pe, e, at, size >> u64(m.line_shift) != 0, t)
    elif info.local == NO_OPERAND:
        arrival = prefetch_line(m, pe, e, at, t)
    else:
        arrival = read_line(m, pe, e, at, t)
    if arrival > command.transfer.latest:
        command.transfer.latest = arrival
    return arrival


@fn
def walk_row(
    m: Ptr[Machine], pe: Ptr[Pe], unit: u32, command: Ptr[Command], info: Ptr[OpInfo], start: u64, stop_at: u64
) -> boolean:
    """Request lines of the current row until its end (True) or until tick `stop_at` (False)."""
    e = addr(pe.engines[unit])
    walk = command.transfer
    g = addr(walk.remote)
    size = element_bytes(g.dtype)
    stride = g.stride[g.rank - 1]
    count = u64(max(last_column(g) - first_column(g), i64(0)))
    dense = stride == i64(size)
    length = count
    if dense:
        length = count * size
    ticks = u64(m.read_ticks)
    if unit != FI_IN:
        ticks = u64(m.write_ticks)
    line_bytes = u64(1) << u64(m.line_shift)
    base = start + u64(first_column(g) * stride)
    while walk.col < length:
        at = base + walk.col
        part = size
        step = u64(1)
        if dense:
            part = min(length - walk.col, line_bytes - (at & (line_bytes - 1)))
            step = part
        else:
            at = base + u64(i64(walk.col) * stride)
        line = (at >> u64(m.line_shift)) + 1
        if line != walk.last_line:
            t = max(e.next_issue, e.outstanding[e.cursor])
            if t >= stop_at:
                e.wait_window += t - e.next_issue
                e.next_issue = t
                return False
            e.wait_window += t - e.next_issue
            e.outstanding[e.cursor] = dma_line(m, pe, unit, command, info, at, part, t)
            e.cursor += 1
            if e.cursor == e.window:
                e.cursor = 0
            e.next_issue = t + ticks
            walk.last_line = line
        command.bytes += part
        walk.col += step
    return True


@fn
def pass_local(m: Ptr[Machine], pe: Ptr[Pe], at: u64, moved: u64) -> u64:
    """Book local memory for some bytes at the earliest from a cycle; returns the cycle at which they have passed."""
    rate = u64(m.chip.ls_bytes_per_clk)
    pe.ls_next = max(pe.ls_next, at) + (moved + rate - 1) // rate
    pe.ls_passed += moved
    return pe.ls_next


@fn
def dma_step(m: Ptr[Machine], pe: Ptr[Pe], unit: u32, now: u64) -> u32:
    """Go on with the walk of the issuing command; returns 1 when all its lines are out."""
    e = addr(pe.engines[unit])
    channel = addr(pe.channels[e.channel])
    command = addr(channel.ring[(e.seq - 1) & RING_MASK])
    walk = command.transfer
    info = addr(m.ops[command.op])
    g = addr(walk.remote)
    stop_at = (now + u64(m.chip.fi_turn)) << TICK_SHIFT
    while walk.row < walk.rows:
        if row_valid(g, walk.row):
            start = row_address(g, command, info.index, walk.row)
            if info.index != NO_OPERAND and first_column(g) < last_column(g):
                low = start + u64(first_column(g) * g.stride[1])
                if region(m, low, element_bytes(g.dtype)) == 0:
                    fault(addr(m.trap), u32(BOUNDS), low, u64(0), info.index)
                    return 1
            if not walk_row(m, pe, unit, command, info, start, stop_at):
                push_event(m, e.next_issue >> TICK_SHIFT, pe.index, unit + RANK_STEP, u64(0))
                return 0
        walk.row += 1
        walk.col = 0
    e.active = 0
    e.bytes += command.bytes
    count_traffic(e, command, u64(1))
    pass_local(m, pe, now, command.bytes)
    command.finished = max((walk.latest + (1 << TICK_SHIFT) - 1) >> TICK_SHIFT, now)
    push_event(m, command.finished, pe.index, unit, u64(e.channel) << 32 | u64(e.seq))
    return 1


@fn
def copy_run(to: u64, to_stride: i64, source: u64, stride: i64, n: u64, size: u64) -> None:
    """Copy n elements between two strided runs."""
    if to_stride == i64(size) and stride == i64(size):
        memcpy(Ptr[u8](to), Ptr[u8](source), n * size)
        return
    for k in range(i64(0), i64(n)):
        a = to + u64(k * to_stride)
        b = source + u64(k * stride)
        if size == 4:
            Ptr[u32](a)[0] = Ptr[u32](b)[0]
        elif size == 2:
            Ptr[u16](a)[0] = Ptr[u16](b)[0]
        elif size == 8:
            Ptr[u64](a)[0] = Ptr[u64](b)[0]
        else:
            Ptr[u8](a)[0] = Ptr[u8](b)[0]


@fn
def fill_run(to: u64, stride: i64, value: u64, n: i64, size: u64) -> None:
    """Write one value to n elements."""
    for k in range(i64(0), n):
        a = to + u64(k * stride)
        if size == 4:
            Ptr[u32](a)[0] = u32(value)
        elif size == 2:
            Ptr[u16](a)[0] = u16(value)
        elif size == 8:
            Ptr[u64](a)[0] = value
        else:
            Ptr[u8](a)[0] = u8(value)


@fn
def move_row(
    m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command], info: Ptr[OpInfo],
    row: u64, local: u64, cstride: i64, inward: boolean,
) -> u32:  # fmt: skip
    """Copy one row between local memory and the global view; a trap cause or 0."""
    g = addr(command.transfer.remote)
    size = element_bytes(g.dtype)
    columns = i64(g.size[g.rank - 1])
    first = min(first_column(g), columns)
    end = max(last_column(g), first)
    if not row_valid(g, row):
        first = columns
        end = columns
    if first < end:
        stride = g.stride[g.rank - 1]
        address = row_address(g, command, info.index, row) + u64(first * stride)
        low = address
        span = u64((end - first - 1) * stride) + size
        if stride < 0:
            low = address + u64((end - first - 1) * stride)
            span = address + size - low
        host = region(m, low, span)
        if host == 0:
            return fault(addr(m.trap), u32(BOUNDS), low, low + span, u32(0))
        kind = select(inward, u32(READ), u32(WRITE))
        hart = command.channel // UNITS
        if check_area(m, pe, hart, info.unit, command.pc, address, stride, u64(end - first), size, kind) != 0:
            return m.trap.cause
        host += address - low
        place = local + u64(first * cstride)
        if inward:
            copy_run(place, cstride, host, stride, u64(end - first), size)
        else:
            break_external(m, low, span, Ptr[Hart](0))
            copy_run(host, stride, place, cstride, u64(end - first), size)
    if inward:
        fill_run(local, cstride, g.bits, first, size)
        fill_run(local + u64(end * cstride), cstride, g.bits, columns - end, size)
    return 0


@fn
def check_row(m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command], row: u64, local: u64, cstride: i64) -> u32:
    """Trap when a row that goes out has an element nobody wrote; elements outside the valid range do not count."""
    g = addr(command.transfer.remote)
    first = min(first_column(g), i64(g.size[g.rank - 1]))
    end = max(last_column(g), first)
    if not row_valid(g, row):
        return 0
    place = local + u64(first * cstride) - u64(pe.ls)
    at = first_unwritten(pe.shadow + place, cstride, u64(end - first), element_bytes(g.dtype))
    if at < u64(end - first):
        return fault(addr(m.trap), u32(UNWRITTEN), place + at * u64(cstride), element_bytes(g.dtype), u32(NO_DETAIL))
    return 0


@fn
def dma_effect(m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command], info: Ptr[OpInfo]) -> u32:
    """What a completed DMA has moved; a trap cause or 0."""
    if info.local == NO_OPERAND:
        return 0
    o = addr(command.operand[info.local])
    inward = info.unit == FI_IN
    for row in range(u64(0), command.transfer.rows):
        local = u64(o.ptr) + row * u64(o.rstride)
        if pe.shadow != 0 and not inward:
            cause = check_row(m, pe, command, row, local, o.cstride)
            if cause != 0:
                return cause
        cause = move_row(m, pe, command, info, row, local, o.cstride, inward)
        if cause != 0:
            return cause
    if pe.shadow != 0 and inward:
        mark_tile(pe, o)
    return 0
