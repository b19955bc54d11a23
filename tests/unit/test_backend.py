"""The code generation process, the linker and the ELF files they make, read by tools that are not ours."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from mtia.compiler.backend import linker, worker
from mtia.compiler.backend.features import DATA_LAYOUT, Hart, feature_string
from mtia.compiler.backend.literals import older_spelling
from mtia.isa import elf
from mtia.isa.errors import UserError

VECTOR = feature_string(Hart.VECTOR)
MODULE = f"""
target datalayout = "{DATA_LAYOUT}"
target triple = "riscv64-unknown-elf"
declare i64 @llvm.experimental.patchpoint.i64(i64, i32, ptr, i32, ...)
declare void @llvm.experimental.patchpoint.void(i64, i32, ptr, i32, ...)
@table = internal constant [4 x i32] [i32 11, i32 22, i32 33, i32 44]
@scratch = internal global [5 x i32] zeroinitializer
define void @_start_k(ptr %launch, i64 %rank) #0 !dbg !5 {{
  %a = load i64, ptr %launch, !dbg !8
  call riscv_vector_cc void (i64, i32, ptr, i32, ...) @llvm.experimental.patchpoint.void(
    i64 11863307, i32 4, ptr null, i32 2, i64 %a, i64 %rank), !dbg !8
  %r = call riscv_vector_cc i64 (i64, i32, ptr, i32, ...) @llvm.experimental.patchpoint.i64(
    i64 328971, i32 4, ptr null, i32 1, i64 %rank), !dbg !9
  %m = and i64 %r, 3
  %p = getelementptr [4 x i32], ptr @table, i64 0, i64 %m
  %v = load i32, ptr %p
  %s = getelementptr [5 x i32], ptr @scratch, i64 0, i64 %m
  store volatile i32 %v, ptr %s
  %q = inttoptr i64 268500992 to ptr
  %w = load <vscale x 4 x float>, ptr %q
  %w2 = fadd <vscale x 4 x float> %w, %w
  store <vscale x 4 x float> %w2, ptr %q
  ret void
}}
attributes #0 = {{ nounwind vscale_range(8,8) }}
!llvm.dbg.cu = !{{!0}}
!llvm.module.flags = !{{!3,!4}}
!0 = distinct !DICompileUnit(language: DW_LANG_C99, file: !1, emissionKind: LineTablesOnly)
!1 = !DIFile(filename: "kernel.py", directory: "/home/user")
!3 = !{{i32 2, !"Debug Info Version", i32 3}}
!4 = !{{i32 2, !"Dwarf Version", i32 4}}
!5 = distinct !DISubprogram(name: "k", file: !1, line: 3, type: !6, unit: !0, spFlags: DISPFlagDefinition)
!6 = !DISubroutineType(types: !7)
!7 = !{{}}
!8 = !DILocation(line: 41, column: 2, scope: !5)
!9 = !DILocation(line: 57, column: 2, scope: !5)
"""


@pytest.fixture(scope="module")
def program() -> bytes:
    return linker.link(worker.generate(MODULE, VECTOR, 2), "_start_k", {"kernel": "k"})


def llvm_tool(name: str) -> str:
    found = shutil.which(f"{name}-22") or shutil.which(f"/usr/lib/llvm-22/bin/{name}")
    if found is None:
        pytest.skip(f"{name} 22 is not installed")
    return found


def test_elf_by_pyelftools(program: bytes) -> None:
    file = ELFFile(io.BytesIO(program))
    assert file["e_machine"] == "EM_RISCV" and file["e_entry"] == elf.TEXT_BASE
    loads = {segment["p_vaddr"]: segment for segment in file.iter_segments() if segment["p_type"] == "PT_LOAD"}
    assert loads[elf.TEXT_BASE].data() == file.get_section_by_name(".text").data()
    table = file.get_section_by_name(".symtab").get_symbol_by_name("table")[0]
    rodata = file.get_section_by_name(".rodata")
    at = table["st_value"] - rodata["sh_addr"]
    assert rodata["sh_addr"] == elf.DATA_BASE
    assert [int.from_bytes(rodata.data()[at + 4 * i :][:4], "little") for i in range(4)] == [11, 22, 33, 44]
    assert file.get_section_by_name(".bss")["sh_size"] == 20
    assert file.get_section_by_name(".mtia").data() == b'{"kernel": "k"}'


def test_patchpoints_hold_the_command_words(program: bytes) -> None:
    text = ELFFile(io.BytesIO(program)).get_section_by_name(".text").data()
    first, second = (word.to_bytes(4, "little") for word in (11863307, 328971))
    assert text.count(first) == text.count(second) == 1 and text.index(first) < text.index(second)


def test_lines_and_symbols_by_llvm(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "k.elf"
    path.write_bytes(program)
    text = ELFFile(io.BytesIO(program)).get_section_by_name(".text").data()
    places = [hex(elf.TEXT_BASE + text.index(word.to_bytes(4, "little"))) for word in (11863307, 328971)]
    lines = subprocess.run([llvm_tool("llvm-addr2line"), "-e", path, *places], capture_output=True, text=True)
    assert lines.stdout.split() == ["/home/user/kernel.py:41", "/home/user/kernel.py:57"]
    shown = subprocess.run([llvm_tool("llvm-objdump"), "-d", path], capture_output=True, text=True, check=True)
    assert "<_start_k>:" in shown.stdout and "vfadd.vv" in shown.stdout and not shown.stderr


def test_address_of_data_is_materialised(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "k.elf"
    path.write_bytes(program)
    shown = subprocess.run([llvm_tool("llvm-objdump"), "-d", "-M", "no-aliases", path], capture_output=True, text=True)
    assert f"{elf.DATA_BASE >> 12:#x}" in shown.stdout


def test_own_reader_agrees(program: bytes) -> None:
    ours, other = elf.read(program), ELFFile(io.BytesIO(program))
    assert [s.name for s in ours.sections] == [s.name for s in other.iter_sections()]
    assert [s.name for s in ours.symbols] == [s.name for s in other.get_section_by_name(".symtab").iter_symbols()]
    assert [s.address for s in ours.segments] == [s["p_vaddr"] for s in other.iter_segments()]


@pytest.mark.parametrize("damage", [lambda d: d[:100], lambda d: b"hello", lambda d: d[:-40], lambda d: b""])
def test_damaged_elf_is_refused(program: bytes, damage) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match="ELF"):
        elf.read(damage(program), "x.elf")


def test_abort_is_an_error_and_the_next_request_works() -> None:
    aborting = 'define void @f() { call void asm sideeffect "nop", ""() ret void }'
    with pytest.raises(worker.CodegenError, match="LLVM ERROR") as caught:
        worker.generate(aborting, VECTOR, 2)
    assert caught.value.reproducer.read_text() == aborting
    os.unlink(caught.value.reproducer)
    assert worker.generate(MODULE, VECTOR, 2)[:4] == b"\x7fELF"


def test_bad_ir_is_an_error() -> None:
    with pytest.raises(worker.CodegenError, match="refused") as caught:
        worker.generate("define void @f() { ret i32 0 }", VECTOR, 2)
    os.unlink(caught.value.reproducer)


def test_library_calls_are_refused() -> None:
    ir = "declare float @expf(float) define float @f(float %x) { %y = call float @expf(float %x) ret float %y }"
    with pytest.raises(linker.LinkError, match="expf"):
        linker.link(worker.generate(ir, VECTOR, 2), "f", {})


def test_constants_must_end_before_the_buffers() -> None:
    code = worker.generate(MODULE, VECTOR, 2)
    with pytest.raises(linker.LinkError, match="past"):
        linker.link(code, "_start_k", {}, data_limit=elf.DATA_BASE + 8)


def test_worker_ends_with_its_parent() -> None:
    script = (
        "from mtia.compiler.backend import worker\n"
        "worker.generate('define void @f() { ret void }', '+m', 0)\n"
        "print(worker._process.pid)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not Path(f"/proc/{done.stdout.strip()}").exists()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("%1 = fadd float %0, 1.000000e-01", "%1 = fadd float %0, 0x3FB99999A0000000"),
        ("%1 = fmul <8 x double> %0, splat (double f0x3FE62E42FEFA39EF)", "(double 0x3FE62E42FEFA39EF)"),
        ("store bfloat +qnan, ptr %0", "store bfloat 0xR7FC0, ptr %0"),
        ("store half 9.997550e-02, ptr %0", "store half 0xH2E66, ptr %0"),
        ("store float -inf, ptr %0", "store float 0xFFF0000000000000, ptr %0"),
        ("store float -nan(0x1), ptr %0", "store float 0xFFF8000020000000, ptr %0"),
        ("%f0.1e = load i64, ptr %1.0, align 8", "%f0.1e = load i64, ptr %1.0, align 8"),
    ],
)
def test_literals_in_the_older_spelling(line: str, wanted: str) -> None:
    assert wanted in older_spelling(line)


@pytest.mark.parametrize(
    ("number", "width", "sign"),
    [(33, 8, 1), (34, 16, 1), (35, 32, 1), (36, 64, 1), (37, 8, -1), (38, 16, -1), (39, 32, -1), (40, 64, -1),
     (54, 8, 0), (55, 16, 0), (56, 32, 0), (1, 32, 0), (2, 64, 0)],
)  # fmt: skip
def test_relocations_of_data(number: int, width: int, sign: int) -> None:
    """R_RISCV_ADD*, SUB* and SET* by their numbers in the psABI: wrap around, and no byte beside them changes."""
    data = bytearray(range(0xF0, 0x100))
    old = int.from_bytes(data[4 : 4 + width // 8], "little")
    value = 0x1234_5678_9ABC_DEF1
    linker._APPLY[number](data, 4, value, 0)
    wanted = (old * abs(sign) + (sign or 1) * value) % (1 << width)
    changed = wanted.to_bytes(width // 8, "little")
    assert data == bytes(range(0xF0, 0xF4)) + changed + bytes(range(0xF4 + width // 8, 0x100))
