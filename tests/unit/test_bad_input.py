"""Bad input of every kind: one message that names the place, the right exit code, nothing left behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton
import triton.language as tl
from mtia.tools import cli

HEAD = "import triton\nimport triton.language as tl\n\n\n@triton.jit\ndef kernel(x, out, B: tl.constexpr):\n"
SIGNATURE = "*fp32,*fp32,256"
COPY = "i = tl.arange(0, B)\ntl.store(out + i, tl.load(x + i))"
ARRAYS = ("--grid", "1", "--arg", "x=ones:256:fp32", "--arg", "out=zeros:256:fp32", "--no-check")


@pytest.fixture(autouse=True, scope="module")
def machine() -> None:
    """The machine's code is made before the tests: making it says so on standard error."""
    from mtia.runtime.device import Device

    Device("mtia200").machine("fast")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MTIA_CACHE", "off")


def kernel(body: str, name: str = "k.py") -> str:
    """Write a Triton file whose kernel has this body, which starts on line 7."""
    Path(name).write_text(HEAD + "".join(f"    {line}\n" for line in body.splitlines()))
    return name


def assembly(body: str, name: str = "k.s") -> str:
    """Write an assembly file; the body starts on line 2."""
    Path(name).write_text("_start_k:\n" + "".join(f"    {line}\n" for line in body.splitlines()))
    return name


def fails(capfd: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """The message of a command that fails with this code, prints nothing else and leaves no file."""
    before = set(os.listdir())
    assert cli.main(arguments) == code
    captured = capfd.readouterr()
    assert not captured.out and "Traceback" not in captured.err and captured.err.strip()
    assert code == 3 or len(captured.err.strip().splitlines()) == 1, captured.err
    assert set(os.listdir()) - {"__pycache__"} == before - {"__pycache__"}
    return captured.err.strip()


# --- kernels ---------------------------------------------------------------------------------------------------------

KERNELS = {
    "an operation of another chip": (
        "y = tl.inline_asm_elementwise('shl.b32 $0, $1, 1;', '=r,r', [x], tl.float32, True, 1)\ntl.store(out, y)",
        SIGNATURE, r"k\.py:7:\d+: error: tt\.elementwise_inline_asm: assembly of a PE .*shl\.b32",
    ),
    "an operation not supported": (
        "tl.atomic_xor(out + tl.arange(0, B), tl.load(x + tl.arange(0, B)))",
        SIGNATURE, r"k\.py:7:\d+: error: tt\.atomic_rmw: ",
    ),
    "a name that does not exist": (
        "tl.store(out, nothing)", SIGNATURE, r"k\.py:7:\d+: error: .*nothing is not defined",
    ),
    "blocks that do not fit together": (
        "tl.store(out + tl.arange(0, 8), tl.load(x + tl.arange(0, 16)))", SIGNATURE, r"k\.py:7:\d+: error: .*8 and 16",
    ),
    "a static assertion": ("tl.static_assert(B > 999, 'too small')", SIGNATURE, r"k\.py:7:\d+: error: too small"),
    "a block beyond Triton's own limit": (
        COPY.replace("x + i)", "x + i) * 2"), "*fp32,*fp32,2097152",
        r"k\.py:7:\d+: error: numel \(2097152\) exceeds",
    ),
    "a block that is no power of two": (COPY, "*fp32,*fp32,100", r"k\.py:7:\d+: error: .*power of 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_kernels(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    import re

    body, signature, message = KERNELS[name]
    found = fails(capfd, 2, "compile", kernel(body), "--signature", signature, "-o", "k.elf")
    assert re.search(message, found), found


# --- text of every stage, and binaries -------------------------------------------------------------------------------

WRONG = "module {\n  func.func @f(%a: tensor<4xf32>) -> tensor<4xf32> {\n    return %a : tensor<4xf32>\n  }\n}\n"
STAGES = {
    "tt": "w.mlir: error: the module has no kernel: no 'tt.func'",
    **dict.fromkeys(("linalg", "memref", "tiles", "planned", "pe"), "w.mlir:2:3: error: argument 0 is tensor<4xf32>; "),
    "llvm": "w.mlir:2:3: error: 'func.func' at stage 'llvm'",
    "ll": "w.mlir:1:8: error: ",
    "elf": "w.mlir: error: stage 'elf' is the end of the pipeline",
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_module_of_another_stage(stage: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("w.mlir").write_text(WRONG)
    assert fails(capfd, 2, "compile", "w.mlir", "--from", stage, "-o", "k.elf").startswith(STAGES[stage])


BODIES = {
    "    %0 = arith.addi %a, %b : i32\n    tt.return\n  }\n": "w.ttir:3:25:",
    "    %0 = arith.addi %a, %a : i64\n    tt.return\n  }\n": "w.ttir:3:21:",
    "    tt.wobble\n    tt.return\n  }\n": "w.ttir:3:5: error: unknown Triton operation 'tt.wobble'",
}
TTIR = {
    "": "w.ttir: error: the module has no kernel",
    "hello\n": "w.ttir:1:1: error: ",
    "module {": "w.ttir:1:",
    "module {\n  tt.func public @f(%a: !tt.ptr<f33>) {\n    tt.return\n  }\n}\n": "w.ttir:2:",
    **{f"module {{\n  tt.func public @f(%a: i32) {{\n{body}}}\n": start for body, start in BODIES.items()},
}


@pytest.mark.parametrize("text", TTIR)
def test_ttir(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("w.ttir").write_text(text)
    assert fails(capfd, 2, "compile", "w.ttir", "-o", "k.elf").startswith(TTIR[text])


def test_every_prefix_of_a_kernels_text_is_refused_or_compiled(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compile", kernel(COPY), "--signature", SIGNATURE, "--emit=ttir", "-o", "whole.ttir"]) == 0
    whole = Path("whole.ttir").read_text()
    capfd.readouterr()
    for length in range(1, len(whole.rstrip()) - 1, 97):
        Path("cut.ttir").write_text(whole[:length])
        code = cli.main(["compile", "cut.ttir", "--emit=linalg", "-o", os.devnull])
        assert code in (0, 2), (length, capfd.readouterr().err)


@pytest.mark.parametrize("keep", [0, 10, 64, 200, 700, -20])
def test_cut_executables(keep: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["as", assembly("xm.exit"), "-o", "whole.elf"]) == 0
    Path("cut.elf").write_bytes(Path("whole.elf").read_bytes()[:keep])
    for command in (["objdump", "cut.elf"], ["run", "cut.elf", "--grid", "1"]):
        assert fails(capfd, 2, *command).startswith("cut.elf: error: ")


def test_executables_for_other_machines(capfd: pytest.CaptureFixture[str]) -> None:
    Path("host.elf").write_bytes(Path(sys.executable).resolve().read_bytes())
    assert "not a 64-bit little-endian RISC-V ELF file" in fails(capfd, 2, "run", "host.elf", "--grid", "1")
    assert cli.main(["compile", kernel(COPY), "--signature", SIGNATURE, "--target", "mtia300", "-o", "k.elf"]) == 0
    capfd.readouterr()
    assert "kernel was compiled for mtia300, the device is mtia200" in fails(capfd, 2, "run", "k.elf", *ARRAYS)


def test_damaged_executables_never_break_the_tools(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["as", assembly("li a0, 7\nxm.exit"), "-o", "whole.elf"]) == 0
    whole, rng = Path("whole.elf").read_bytes(), np.random.default_rng(0)
    codes = set()
    for trial in range(120):
        data = bytearray(whole)
        for place in rng.integers(0, len(whole) if trial % 2 else 64, 3):
            data[place] = rng.integers(256)
        Path("damaged.elf").write_bytes(data)
        codes.add(cli.main(["objdump", "damaged.elf"]))
    capfd.readouterr()
    assert codes == {0, 2}


# --- values ----------------------------------------------------------------------------------------------------------


def values(capfd: pytest.CaptureFixture[str], **given: str) -> str:
    Path("n.py").write_text(HEAD.replace("x, out, B", "x, out, n, B") + "    tl.store(out + n, tl.load(x))\n")
    whole = {"x": "ones:4:fp32", "out": "zeros:4:fp32", "n": "1"} | given
    arguments = [part for name, value in whole.items() for part in ("--arg", f"{name}={value}")]
    return fails(capfd, 2, "run", "n.py", "--signature", "*fp32,*fp32,i32,4", "--grid", "1", *arguments)


def test_values(capfd: pytest.CaptureFixture[str]) -> None:
    np.save("complex.npy", np.zeros(4, np.complex64))
    np.save("double.npy", np.zeros(4))
    np.save("whole.npy", np.zeros(4, np.float32))
    Path("cut.npy").write_bytes(Path("whole.npy").read_bytes()[:-3])
    assert "complex64 are not supported" in values(capfd, x="complex.npy")
    assert "--arg x: the kernel wants *fp32, this is *fp64" in values(capfd, x="double.npy")
    assert values(capfd, x="cut.npy").startswith("cut.npy: error: not a .npy file")
    assert "--arg out: the kernel wants *fp32, this is a number" in values(capfd, out="3")
    assert "--arg n: the kernel wants i32, this is *fp32" in values(capfd, n="ones:4:fp32")
    assert "argument 2 is a i32, not 2.5" in values(capfd, n="2.5")
    assert "argument 2 is a i32, 4294967296 does not fit" in values(capfd, n="4294967296")
    assert "--grid is '4x'" in fails(capfd, 2, "run", "n.py", "--signature", "*fp32,*fp32,i32,4", "--grid", "4x")


# --- traps: who, which instruction, which source line ----------------------------------------------------------------

OUTSIDE = 0x7FFFFFFFFF
ACCESSES = {
    "transfer out": (f"i = tl.arange(0, B)\ntl.store(out + {OUTSIDE} + i, tl.load(x + i))", 8, "fi.out", "xm.dma.out"),
    "transfer in": (f"i = tl.arange(0, B)\ntl.store(out + i, tl.load(x + {OUTSIDE} + i))", 8, "fi.in", "xm.dma.in"),
    "by index": (
        f"i = tl.arange(0, B)\nj = tl.load(x + i).to(tl.int64) + {OUTSIDE}\ntl.store(out + i, tl.load(x + j))",
        9, "fi.in", "xm.dma.ini",
    ),
    "scalar": (f"v = tl.load(x + {OUTSIDE})\ntl.store(out, v)", 7, "hart", "flw"),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCESSES)
def test_access_outside_memory(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    body, line, who, instruction = ACCESSES[name]
    message = fails(capfd, 3, "run", kernel(body), "--signature", SIGNATURE, *ARRAYS)
    assert message.startswith(f"k.py:{line}: trap: ") and "outside" in message
    assert f"(PE 0, {who}" in message and f", {instruction} " in message


CIRCULAR = "li a0, 0x2000\nli a1, 64 | 1<<32\nxm.cb.init cb0, a0, a1\n"
PROGRAMS = {
    "not defined": ("xm.cb.push cb7", r"k.s:2: trap: circular buffer cb7 is not defined", "xm.cb.push cb7"),
    "too long": (
        "li a0, 0x2000\nli a1, 0x1000000 | 4<<32\nxm.cb.init cb0, a0, a1", "k.s:4: trap: the circular buffer ends at",
        "xm.cb.init cb0, a0, a1",
    ),
    "popped when empty": (CIRCULAR + "xm.cb.pop cb0", "k.s:5: trap: deadlock", "xm.cb.pop cb0"),
    "read before it is pushed": (CIRCULAR + "xm.cb.waitr cb0", "k.s:5: trap: deadlock", "xm.cb.waitr cb0"),
    "pushed when full": (CIRCULAR + "xm.cb.push cb0\nxm.cb.push cb0", "k.s:6: trap: deadlock", "xm.cb.push cb0"),
    "barrier of some": ("bnez a1, 1f\nxm.barrier zero\n1: xm.exit", "k.s:3: trap: deadlock", "xm.barrier zero"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_misuse_and_deadlock(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    body, start, instruction = PROGRAMS[name]
    message = fails(capfd, 3, "run", assembly(body + "\nxm.exit"), "--grid", "2")
    assert message.startswith(start) and "(PE 0, hart A, pc 0x" in message and f", {instruction}, cycle" in message


# --- Triton ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def driver(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("torch")
    from mtia.runtime.triton_backend.driver import MtiaDriver

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "bad-cache"))
    monkeypatch.setattr(triton.runtime.driver, "_active", MtiaDriver())
    return triton.runtime.driver.active


def test_tensors_that_are_not_for_us(driver: Any) -> None:
    import torch
    from mtia.isa.errors import UserError
    from mtia.tools.kernels.add import add_kernel

    x, out = torch.ones(8), torch.zeros(8)
    with pytest.raises(UserError, match="'meta'; kernels for MTIA take mtia and CPU tensors"):
        add_kernel[(1,)](x.to("meta"), x, out, 8, BLOCK_SIZE=8)
    with pytest.raises(Exception, match="complex64"):
        add_kernel[(1,)](x.to(torch.complex64), x, out, 8, BLOCK_SIZE=8)
    assert not out.any()


@triton.jit  # type: ignore[untyped-decorator]
def stray_kernel(x, out, n, B: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i) + 1)
    tl.store(out + n + i, tl.load(x + i))


def test_a_kernel_that_traps_writes_nothing_back(driver: Any) -> None:
    import torch
    from mtia.runtime.faults import MachineTrap

    x, out = torch.ones(64), torch.zeros(64)
    with pytest.raises(MachineTrap, match=r"test_bad_input\.py:\d+: trap: operand 1 reaches outside its memory"):
        stray_kernel[(1,)](x, out, OUTSIDE, B=64)
    assert not out.any()
    stray_kernel[(1,)](x, out, 0, B=64)
    assert torch.equal(out, x)


# --- the process around us -------------------------------------------------------------------------------------------


def command(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mtia.tools.cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        **options,
    )  # fmt: skip


def test_interrupt_while_a_kernel_runs() -> None:
    body = "v = tl.load(x)\nwhile v > 0.5:\n    v = tl.load(x, volatile=True)\ntl.store(out, v)"
    process = command("run", kernel(body), "--signature", SIGNATURE, *ARRAYS)
    until = time.monotonic() + 60
    while _cpu_seconds(process.pid) < 2.5 and time.monotonic() < until:  # compiled, and in the loop
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "") and err.strip().splitlines()[-1] == "interrupted"


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_full_cache_folder_costs_a_warning_only(tmp_path: Path) -> None:
    """A limit on file sizes stands for a full disk: the executable fits below it, the cache entry does not."""
    kernel(COPY)
    limit = 40_000
    process = command(
        "run", "k.py", "--signature", SIGNATURE, *ARRAYS, "--json",
        env={**os.environ, "MTIA_CACHE": str(tmp_path / "cache")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and json.loads(out)["cycles"] > 0, err
    assert "the compiled kernel is not cached" in err
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_two_processes_compile_the_same_kernel_at_once(tmp_path: Path) -> None:
    kernel(COPY)
    environment = {**os.environ, "MTIA_CACHE": str(tmp_path / "cache")}
    both = [command("run", "k.py", "--signature", SIGNATURE, *ARRAYS, "--json", env=environment) for _ in range(2)]
    seen = set()
    while any(process.poll() is None for process in both):
        for path in (tmp_path / "cache").rglob("*"):
            if path.is_file() and len(path.name) == 64:  # an entry, not a file under way
                seen.add(hash(path.read_bytes()))
        time.sleep(0.02)
    rows = [json.loads(process.communicate()[0]) for process in both]
    assert rows[0]["cycles"] == rows[1]["cycles"]
    assert len(seen) <= 1
    names = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert names and all(len(name) == 64 for name in names)
