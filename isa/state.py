"""The state of a hart and a decoded instruction, as meanings and the machine see them.

Memory. A meaning never touches memory except through `reach`, which turns an address range into a host pointer. Local
memory (LS) is always reachable; with a shadow, to be read only where it has been written, and only in blocks that no
command in a queue names (the machine finds such an address in the request, and grants it or traps). Anything else is
not: `reach` writes the request into `Hart.want_*` and returns 0, and the meaning returns `EXTERNAL` without having
changed anything else (vector instructions that go element by element have set `vstart`). The machine then times the
access, sets `grant_base`, `grant_size`, `grant_ptr` to the range's host memory and executes the same instruction
again; the grant is good for one `reach`. A range that does not exist is a trap with cause `LOAD_FAULT` or
`STORE_FAULT` at `want_addr`. Instructions are atomic: an AMO reads and writes through one grant.

Reservations. `lr` reserves the `GRANULE` around its address. A store of another hart, or a unit's command that writes
there, clears `reservation_valid`: in local memory the harts of a PE watch each other's granule (`claimed`), outside
it the machine sees every access.

Control flow. See `table.Flow`: `Insn.pc` and `Insn.size` give the link address, targets are `pc + imm`, indirect
jumps return the target.

Floating point. Rounding is to nearest even unless `Insn.rm` or `frm` say otherwise. `fflags` only matters to a
program that can read it: the machine sets `Hart.exact` when the program contains an access to `fflags` or `fcsr`, and
then arithmetic takes the exact path that also collects flags.
"""

from __future__ import annotations

from mtia.isa.lang import Array, Ptr, Struct, boolean, fn, i64, likely, memset, struct, u8, u16, u32, u64, unlikely

__all__ = [
    "AMO", "BREAKPOINT", "CONDITIONAL", "DUMP", "ECALL", "EXTERNAL", "FIRST", "GRANULE", "ILLEGAL", "LOAD_FAULT",
    "LOAD_MISALIGNED", "OK", "READ", "RESERVE", "STORE_FAULT", "STORE_MISALIGNED", "VLEN", "VLENB", "WATCH_SHIFT",
    "WRITE", "Hart", "Insn", "changes", "reach", "reach_any", "reach_first",
]  # fmt: skip

VLEN = 512  # hardware.md §2.2: the vector extension is 64 bytes wide
VLENB = VLEN // 8
DUMP = 32  # register that receives what is written to x0

# Status of a meaning. Trap causes are the RISC-V numbers (privileged specification, table of mcause).
OK = 0
ILLEGAL = 2
BREAKPOINT = 3
LOAD_MISALIGNED = 4
LOAD_FAULT = 5
STORE_MISALIGNED = 6
STORE_FAULT = 7
ECALL = 8
EXTERNAL = 0x100  # not a trap: the machine must grant `want_*`, then execute the instruction again

# want_kind. FIRST is a read of which less may be granted, down to nothing (`grant_ptr` 0): `reach_first`. RESERVE and
# CONDITIONAL are the accesses of load-reserved and store-conditional.
READ, WRITE, AMO, FIRST, RESERVE, CONDITIONAL = range(6)
WATCH_SHIFT = 6  # log2 of the bytes of local memory that are watched together
GRANULE = 64  # bytes that a load-reserved reserves, aligned (defined)
ONES = 0x0101_0101_0101_0101  # the shadow of eight written bytes


@struct
class Insn(Struct):
    """A pre-decoded instruction. Register fields are indices; a destination x0 is `DUMP`."""

    handler: u64  # native address of the handler (the machine's)
    target: u64  # host address of the Insn at pc + imm, for branches and jumps (the machine's)
    pc: u64
    imm: i64
    word: u32  # the 16 or 32 encoded bits
    row: u32  # index into table.all() of the (expanded) instruction
    rd: u8
    rs1: u8
    rs2: u8
    rs3: u8
    rm: u8  # rounding mode, 7 = frm
    vm: u8  # 1 = unmasked
    size: u8  # bytes of the encoding: 2 or 4
    pad: u8
    latency: u32  # cycles until the result is ready (the machine's, from the chip file)
    occupancy: u32  # issue cost (the machine's)
    a: u64  # free for the machine
    b: u64


@struct
class Hart(Struct):
    """One hart: registers, vector configuration, time, and its view of memory."""

    v: Array[u8, 2048]  # 32 registers of VLENB bytes; first, so that each fills one line of the host's cache
    x: Array[u64, 33]  # x[0] = 0, x[DUMP] is never read
    f: Array[u64, 33]  # raw bits, narrower values NaN-boxed
    pc: u64
    vl: u64
    vlmax: u64
    vstart: u64
    vtype: u64  # as the CSR shows it; bit 63 = illegal
    vsew: u32  # bytes per element: 1, 2, 4, 8; 0 when vtype is illegal
    vlmul8: u32  # 8 × LMUL: 1 … 64
    vxrm: u32
    vxsat: u32
    frm: u32
    fflags: u32
    exact: u32  # nonzero: arithmetic collects fflags
    rank: u32  # PE rank in the launch
    hartid: u32
    reservation_valid: u32
    reservation: u64  # address of the last lr
    peer: u64  # host address of the PE's other hart, 0 = none
    instret: u64
    time: u64  # cycles
    horizon: u64  # the hart runs alone until this time
    ready_x: Array[u64, 33]
    ready_f: Array[u64, 33]
    ready_v: Array[u64, 32]
    v_shift: u32  # log2 of vsew (the machine's, after every change of vtype)
    v_dense: u32  # vsew | registers << 8 when all elements are active and no rounding mode or flags matter, else 0
    free: Array[u64, 2]  # when the integer and the floating-point divider are free (the machine's)
    ls_base: u64  # hart address of local memory
    ls_size: u64
    ls_ptr: u64  # host address of local memory
    ls_shadow: u64  # host address of one byte per LS byte, nonzero = written; 0 = unchecked
    claimed: u64  # host address of what the other hart has reserved in local memory, 0 = nothing
    grant_base: u64
    grant_size: u64
    grant_ptr: u64
    want_addr: u64
    want_size: u32
    want_kind: u32
    machine: u64  # host address of the machine's own state
    unit: u64  # host address of the command processor's state for this hart
    watch: u64  # host address of what a profiler knows of this hart (the machine's)
    ls_watch: u64  # host address of the counts of commands by block of LS (`watched`); 0 = unchecked
    reserved: Array[u64, 4]  # makes the size a multiple of 64, so that in an array of harts v stays aligned


@fn
def all_written(shadow: u64, size: u64) -> boolean:
    """Whether `size` bytes of local memory have been written, by their shadow."""
    low = u64(ONES)
    for k in range(u64(0), size >> 3):
        low &= Ptr[u64](shadow)[k]
    for k in range(size & ~7, size):
        low &= u64(Ptr[u8](shadow)[k]) | (ONES - 1)
    return low == ONES


@fn
def changes(kind: u32) -> boolean:
    """Whether an access of this kind writes."""
    return kind == WRITE or kind == AMO or kind == CONDITIONAL


@fn
def block_watched(h: Ptr[Hart], block: u64, kind: u32) -> boolean:
    """Whether a command that the hart has not waited for writes (for a write: or reads) a block of local memory.

    `Hart.ls_watch` counts such commands by block, first those that write, then those that read.
    """
    writes = Ptr[u16](h.ls_watch)
    found = writes[block]
    if changes(kind):
        found |= (writes + (h.ls_size >> WATCH_SHIFT))[block]
    return found != 0


@fn(inline="never")
def free_of_commands(h: Ptr[Hart], inside: u64, size: u64, kind: u32) -> boolean:
    """Whether no command is in the way of an access to local memory, or the machine has granted it."""
    found = boolean(False)
    if h.ls_watch != 0:
        for block in range(inside >> WATCH_SHIFT, (inside + size + ((1 << WATCH_SHIFT) - 1)) >> WATCH_SHIFT):
            found = found or block_watched(h, block, kind)
    if likely(not found):
        return True
    if h.grant_size != size or h.grant_base != h.ls_base + inside:
        return False
    h.grant_size = 0
    return True


@fn(inline="never")
def shadowed(h: Ptr[Hart], inside: u64, size: u64, kind: u32) -> boolean:
    """Whether an access to local memory is in order; notes a write."""
    if unlikely(not free_of_commands(h, inside, size, kind)):
        return False
    shadow = h.ls_shadow + inside
    if kind == WRITE or kind == CONDITIONAL:
        memset(Ptr[u8](shadow), 1, size)
        return True
    return all_written(shadow, size)


@fn(inline="never")
def break_peer(h: Ptr[Hart], host: u64, size: u64) -> None:
    """Break the other hart's reservation if a store of this one touches it."""
    if host < h.claimed + GRANULE and h.claimed < host + size:
        Ptr[Hart](h.peer).reservation_valid = 0
        h.claimed = 0


@fn(inline="never")
def reach_any(h: Ptr[Hart], address: u64, size: u64, kind: u32) -> u64:
    """Return the host address of `size` bytes at `address`, or 0 after writing the request into `want_*`."""
    inside = address - h.ls_base
    if inside < h.ls_size and size <= h.ls_size - inside:
        if changes(kind):
            if unlikely(h.claimed != 0):
                break_peer(h, h.ls_ptr + inside, size)
        if likely(h.ls_shadow == 0) or shadowed(h, inside, size, kind):
            return h.ls_ptr + inside
        h.want_addr = address
        h.want_size = u32(size)
        h.want_kind = kind
        return 0
    granted = address - h.grant_base
    if unlikely(granted < h.grant_size and size <= h.grant_size - granted):
        h.grant_size = 0
        return h.grant_ptr + granted
    h.want_addr = address
    h.want_size = u32(size)
    h.want_kind = kind
    return 0


@fn
def plainly_written(shadow: u64, size: u64) -> boolean:
    """As `all_written` where the size is known: 1, 2, 4 or 8 bytes or a vector register."""
    if size == 8:
        return Ptr[u64](shadow)[0] == ONES
    if size == 4:
        return Ptr[u32](shadow)[0] == u32(ONES & 0xFFFF_FFFF)
    if size == 2:
        return Ptr[u16](shadow)[0] == u16(ONES & 0xFFFF)
    if size == 1:
        return Ptr[u8](shadow)[0] == 1
    return all_written(shadow, size)


@fn(inline="always")
def reach(h: Ptr[Hart], address: u64, size: u64, kind: u32) -> u64:
    """As `reach_any`, in line for what lies in one block of local memory that no command names; sizes are known."""
    inside = address - h.ls_base
    scalar = size == 1 or size == 2 or size == 4 or size == 8
    if (scalar or size == VLENB) and (kind == READ or kind == WRITE):
        if likely(inside < h.ls_size and (inside & ((1 << WATCH_SHIFT) - 1)) + size <= 1 << WATCH_SHIFT):
            if h.ls_shadow == 0:
                if kind == READ or h.claimed == 0:
                    return h.ls_ptr + inside
            elif h.ls_watch != 0 and likely(not block_watched(h, inside >> WATCH_SHIFT, kind)):
                shadow = h.ls_shadow + inside
                if kind == READ:
                    if likely(plainly_written(shadow, size)):
                        return h.ls_ptr + inside
                elif likely(h.claimed == 0):
                    memset(Ptr[u8](shadow), 1, size)
                    return h.ls_ptr + inside
    return reach_any(h, address, size, kind)


@fn
def written_bytes(shadow: u64, size: u64) -> u64:
    """How many of `size` bytes have been written before the first that has not, by their shadow."""
    for k in range(size):
        if Ptr[u8](shadow)[k] == 0:
            return k
    return size


@fn(inline="never")
def reach_first(h: Ptr[Hart], address: u64, size: u64, got: Ptr[u64]) -> u64:
    """As `reach` for reading, but `got[0]` becomes how many of the bytes there are; no request if that is nothing."""
    got[0] = 0
    inside = address - h.ls_base
    if inside < h.ls_size:
        got[0] = min(size, h.ls_size - inside)
        if h.ls_shadow != 0:
            got[0] = written_bytes(h.ls_shadow + inside, got[0])
            if not free_of_commands(h, inside, got[0], u32(FIRST)):
                h.want_addr = address
                h.want_size = u32(got[0])
                h.want_kind = FIRST
                return 0
        return h.ls_ptr + inside
    if h.grant_size != 0 and address == h.grant_base:
        if h.grant_ptr != 0:
            got[0] = min(size, h.grant_size)
        h.grant_size = 0
        return h.ls_ptr | 1 if h.grant_ptr == 0 else h.grant_ptr
    h.want_addr = address
    h.want_size = u32(size)
    h.want_kind = FIRST
    return 0
