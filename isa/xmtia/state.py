"""State of Xmtia in memory: tile registers, resolved operands, and the chip's numbers."""

from __future__ import annotations

from typing import Any

from mtia.isa.chip import Chip
from mtia.isa.lang import Array, Ptr, Struct, i32, i64, struct, u8, u32, u64

__all__ = ["MAX_RANK", "TICKS", "TILE_REGS", "ChipParams", "CpState", "Operand", "TileReg", "fill_chip_params"]

MAX_RANK = 4
TILE_REGS = 32  # per hart
TICKS = 256  # parts of a clock in which lines are timed


@struct
class TileReg(Struct):
    """A tile register; `form` says which fields count. Strides and offsets are in bytes."""

    form: u32  # codes.Form
    dtype: u32  # codes.DType
    flags: u32  # codes.Flag
    cb: u32
    side: u32  # 0 = read pointer, 1 = write pointer
    slot: u32  # slots ahead of the pointer
    rank: u32  # global form: dimensions in use
    rows: u32
    cols: u32
    rstride: i32
    cstride: i32
    offset: u64  # local form: from the start of the slot
    inc: i64  # added to `offset` (local) or `base` (global) after each command that names the register
    bits: u64  # the immediate's value; global form: what invalid elements read as; local form: the seed
    base: u64  # global form: address of element (0, …, 0)
    size: Array[u64, MAX_RANK]
    stride: Array[i64, MAX_RANK]
    lo: Array[i64, MAX_RANK]  # valid range of indices, per dimension
    hi: Array[i64, MAX_RANK]


@struct
class CpState(Struct):
    """What a hart's configuration instructions change; `Hart.unit` is its address; a launch fills `info`."""

    td: Array[TileReg, TILE_REGS]
    info: Array[u64, 8]  # codes.Info, all but CYCLE


@struct
class Operand(Struct):
    """A tile register resolved at issue. Immediates: strides 0, `ptr` is set when the command runs."""

    ptr: Ptr[u8]  # host address of element (0, 0)
    rstride: i64  # bytes from row to row
    cstride: i64
    bits: u64  # immediate value, or the seed of stochastic rounding
    rows: u32
    cols: u32
    dtype: u32
    flags: u32
    form: u32
    space: u32  # codes.Space
    lo: Array[i64, 2]  # global form (`se.mask`): valid rows and columns
    hi: Array[i64, 2]


@struct
class ChipParams(Struct):
    """The numbers of a `Chip` by section and key; below them the derived ones."""

    grid_rows: u32
    grid_cols: u32
    hart_count: u32
    hart_vector_mask: u32
    hart_vector_datapath_bits: u32
    hart_alu: u32
    hart_mul: u32
    hart_div: u32
    hart_load: u32
    hart_fp_add: u32
    hart_fp_mul: u32
    hart_fp_fma: u32
    hart_fp_div: u32
    hart_fp_sqrt: u32
    hart_fp_cvt: u32
    hart_fp_move: u32
    hart_csr: u32
    hart_branch_taken: u32
    hart_v_alu: u32
    hart_v_mul: u32
    hart_v_fp: u32
    hart_v_div: u32
    hart_v_div_rate: u32
    hart_v_reduce: u32
    hart_v_permute: u32
    hart_v_load: u32
    hart_v_set: u32
    hart_v_element_rate: u32
    hart_skew: u32
    ls_bytes: u32
    ls_bytes_per_clk: u32
    sram_bytes: u64
    sram_lls_bytes: u64
    sram_banks: u32
    sram_bytes_per_clk: u32
    sram_latency: u32
    sram_ways: u32
    sram_block_lines: u32
    sram_drain_lines: u32
    dram_bytes: u64
    dram_channels: u32
    dram_latency: u32
    dram_page_bytes: u32
    dram_interleave_bytes: u32
    dram_banks: u32
    dram_row_miss: u32
    dram_refresh_interval: u32
    dram_refresh: u32
    dram_write_lines: u32
    dram_turnaround: u32
    noc_base_latency: u32
    noc_hop_latency: u32
    noc_link_bytes_per_clk: u32
    noc_line_bytes: u32
    noc_cluster_rows: u32
    noc_cluster_cols: u32
    noc_coalesce_window: u32
    noc_coalesce_lines: u32
    noc_reduce_hop_latency: u32
    noc_reduce_bytes_per_clk: u32
    fi_read_bytes_per_clk: u32
    fi_write_bytes_per_clk: u32
    fi_start: u32
    fi_commands: u32
    fi_read_lines: u32
    fi_write_lines: u32
    fi_align_bytes: u32
    fi_turn: u32
    cp_queue_depth: u32
    cp_window: u32
    cp_circular_buffers: u32
    cp_issue: u32
    cp_dispatch: u32
    cp_barrier: u32
    dpe_start: u32
    dpe_tiles: u32
    dpe_tile: u32
    dpe_slice_bytes: u32
    dpe_fp16: u32
    dpe_bf16: u32
    dpe_int8: u32
    dpe_fp8: u32
    dpe_tf32: u32
    re_start: u32
    re_bytes: u32
    re_elements_per_clk: u32
    se_start: u32
    se_elements_per_clk: u32
    se_precise_factor: u32
    se_reduce_rows: u32
    se_int8: u32
    se_fp8: u32
    se_stochastic: u32
    mlu_start: u32
    mlu_bytes_per_clk: u32
    mlu_strided_bytes_per_clk: u32
    launch_first: u32
    launch_replace: u32
    mesh: u32  # 1: the NoC is a mesh, 0: a crossbar
    sram_line_ticks: u32  # 1/TICKS clocks that a line occupies an SRAM bank
    dram_line_ticks: u32  # … and a DRAM channel


def _derived(chip: Chip) -> dict[str, int]:
    line = chip.noc.line_bytes * TICKS
    return {
        "mesh": int(chip.noc.kind == "mesh"),
        "sram_line_ticks": -(-line * chip.sram.banks // chip.sram.bytes_per_clk),
        "dram_line_ticks": round(line * chip.dram.channels / chip.dram_bytes_per_clk),
    }


def fill_chip_params(view: Any, chip: Chip) -> None:
    """Write the chip's numbers into a `ChipParams` (a view of the struct, as `ChipParams.view(address)` gives)."""
    derived = _derived(chip)
    fields: Any = ChipParams
    for name in fields.fields:
        section, _, key = name.partition("_")
        setattr(view, name, derived[name] if name in derived else getattr(getattr(chip, section), key))
