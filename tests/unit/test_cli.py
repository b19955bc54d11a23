"""The `mtiac` command: what it prints, its exit codes, and what it leaves behind when the input is bad."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mtia.tools import cli

KERNEL = """
import triton
import triton.language as tl

@triton.jit
def scale_kernel(x_ptr, out_ptr, factor, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    tl.store(out_ptr + offsets, tl.load(x_ptr + offsets, mask=mask) * factor, mask=mask)
"""
SIGNATURE = "*fp32,*fp32,fp32,i32,256"
ASSEMBLY = """
.globl _start_store
_start_store:
    ld t0, 32(a0)
    lw t1, 40(a0)
    sw t1, 0(t0)
    xm.exit
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MTIA_CACHE", "off")
    Path("scale.py").write_text(KERNEL)


def run(*arguments: str) -> int:
    return cli.main(arguments)


# --- what works ------------------------------------------------------------------------------------------------------


def test_help_is_fast_and_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in cli.COMMANDS)
    heavy = "import sys; from mtia.tools import cli; cli.main([]); print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout
    assert not any(f"'{name}'" in modules for name in ("torch", "triton", "numpy", "torch_mlir", "rich", "llvmlite"))


PRESENT = sorted(path.stem.removeprefix("cmd_") for path in Path(cli.__file__).parent.glob("cmd_*.py"))


@pytest.mark.parametrize("name", PRESENT)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert name in cli.COMMANDS
    with pytest.raises(SystemExit) as ended:
        run(name, "--help")
    assert ended.value.code == 0 and f"usage: mtiac {name}" in capsys.readouterr().out


def test_compile_writes_an_executable(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compile", "scale.py::scale_kernel", "--signature", SIGNATURE, "-o", "k.elf", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["kernel"] == "scale_kernel" and row["arguments"] == ["*fp32", "*fp32", "fp32", "i32"]
    assert Path("k.elf").read_bytes()[:4] == b"\x7fELF"
    assert run("objdump", "k.elf") == 0
    assert "xm.se.mul" in capsys.readouterr().out


def test_signature_by_name_and_alignment(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    signature = "BLOCK=128, n=i32:16, factor=fp32, out_ptr=*fp32:16, x_ptr=*fp32"
    assert run("compile", "scale.py", "--signature", signature, "--emit=ttir") == 0
    text = capfdbinary.readouterr().out.decode()
    assert text.count("tt.divisibility = 16") == 2 and "end = 128" in text


def test_run_checks_against_the_interpreter(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("run", "scale.py", "--signature", SIGNATURE, "--grid", "4", "--arg", "x_ptr=randn:1000:fp32",
                 "--arg", "out_ptr=zeros:1000:fp32", "--arg", "factor=2.5", "--arg", "n=1000")  # fmt: skip
    assert run(*arguments, "--json", "--save", "out_ptr=out.npy", "--save", "x_ptr=x.npy") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["ok"] is True and row["cycles"] > 0 and row["written"] == ["out_ptr"]
    assert row["checked"] == "Triton's interpreter" and 0 < row["percent"] <= 100
    assert np.array_equal(np.load("out.npy"), np.load("x.npy") * np.float32(2.5))
    Path("wrong.py").write_text("def reference(x_ptr, out_ptr, factor, n):\n    out_ptr[:] = 2 * factor * x_ptr\n")
    assert run(*arguments, "--reference", "wrong:reference") == 1
    assert "WRONG" in capsys.readouterr().out
    assert run(*arguments, "--no-check") == 0
    assert "unchecked" in capsys.readouterr().out
    assert run(*arguments, "--no-values", "--json") == 0
    timed = json.loads(capsys.readouterr().out)
    assert timed["cycles"] == row["cycles"] and timed["ok"] is None
    for wanted in (("--reference", "wrong:reference"), ("--save", "out_ptr=out.npy")):
        assert run(*arguments, "--no-values", *wanted) == 2
        assert capsys.readouterr().err.startswith(f"error: {wanted[0]} ")


def test_assembly_is_assembled_and_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("store.s").write_text(ASSEMBLY)
    Path("refs.py").write_text("def store(arg0, arg1):\n    arg0[0] = arg1\n")
    assert run("as", "store.s", "--signature", "*i32,i32") == 0
    for program in ("store.s", "store.elf"):
        assert run("run", program, "--signature", "*i32,i32", "--grid", "1", "--arg", "out=zeros:4:i32",
                   "--arg", "value=77", "--json", "--reference", "refs:store") == 0  # fmt: skip
        assert json.loads(capsys.readouterr().out)["ok"] is True


def test_opt_runs_stages_and_upstream_passes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Path("f.mlir").write_text("func.func @f() {\n  %a = arith.constant 1 : i32\n  return\n}\n")
    assert run("opt", "f.mlir", "--pipeline", "builtin.module(canonicalize)") == 0
    assert b"arith.constant" not in capfdbinary.readouterr().out


def test_campaigns_have_a_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify") == 0 and "qemu" in capsys.readouterr().out
    assert run("verify", "xmtia", "--size", "3", "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"]["cases"] == 3
    for name, option, value, message in (
        ("xmtia", "--size", "0", "--size is 0, must be at least 1"),
        ("strict", "--size", "-1", "--size is -1, must not be negative"),
        ("broken", "--first", "-3", "--first is -3, must not be negative"),
        ("strict", "--only", "no such", "no program has 'no such' in its name"),
        ("exact", "--only", "no such", "no operation or instruction has 'no such' in its name"),
    ):
        assert run("verify", name, option, value) == 2
        assert capsys.readouterr().err == f"error: {message}\n"
    assert run("verify", "nothing") == 2 and "campaigns: broken, exact" in capsys.readouterr().err


def test_targets_and_isa(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("targets") == 0 and "mtia300" in capsys.readouterr().out
    assert run("targets", "mtia200") == 0 and "ISCA25" in capsys.readouterr().out
    assert run("isa", "xm.se.add") == 0 and "encoding" in capsys.readouterr().out
    assert run("isa", "--unit", "dpe") == 0 and "xm.dpe.mma" in capsys.readouterr().out


def test_own_chip_file_is_a_target(capsys: pytest.CaptureFixture[str]) -> None:
    from mtia.isa import chip

    text = (Path(chip.__file__).parent / "targets" / "mtia200.toml").read_text()
    Path("mine.toml").write_text(text.replace('name = "mtia200"', 'name = "mine"'))
    assert run("compile", "scale.py", "--signature", SIGNATURE, "--target", "./mine.toml", "--json") == 0
    assert json.loads(capsys.readouterr().out)["target"] == "mine"


def test_exported_program_is_compiled_run_and_checked(capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4)).eval()
    torch.export.save(torch.export.export(model, (torch.randn(4, 16),)), "model.pt2")
    assert run("run", "model.pt2", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["ok"] is True and row["checked"].startswith("torch") and row["cycles"] > 0
    assert run("compile", "model.pt2", "-o", "model.mtia") == 0
    capsys.readouterr()
    assert run("run", "model.mtia", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cycles"] == row["cycles"]
    assert row["checked"].endswith("outputs: 1)")
    assert run("run", "model.mtia", "--target", "mtia300") == 2 and "compiled for mtia200" in capsys.readouterr().err
    Path("cut.pt2").write_bytes(Path("model.pt2").read_bytes()[:500])
    Path("cut.mtia").write_bytes(Path("model.mtia").read_bytes()[:500])
    assert run("run", "cut.pt2") == 2 and "cut.pt2: error: a truncated" in capsys.readouterr().err
    assert run("run", "cut.mtia") == 2 and "cut.mtia: error: no compiled model" in capsys.readouterr().err


def test_explain_says_which_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compile", "scale.py", "--signature", SIGNATURE, "--explain", "-o", "k.elf") == 0
    assert "scale.py:9:" in (text := capsys.readouterr().err) and "SE" in text
    assert text.count("tt.load: strided transfer") == 1 and text.count("tt.store: strided transfer") == 1


# --- bad input: one message, the code, nothing left behind ------------------------------------------------------------

BAD_FILES = {
    "end.s": "_start_end:\n    xm.exit\n",
    "empty.py": "x = 1\n",
    "two.py": KERNEL + KERNEL.replace("scale_kernel", "other_kernel"),
    "broken.py": "def f(:\n",
    "raises.py": "import nowhere_to_be_found\n",
    "bad.ttir": "module {\n  tt.func @f( {\n}\n",
    "unknown.ttir": "module {\n  tt.func public @f() {\n    tt.wobble\n    tt.return\n  }\n}\n",
    "bad.mlir": "module {\n  func.func @f() {\n    %0 = arith.addi %1, %1 : i32\n  }\n}\n",
    "bad.s": "start:\n    xm.se.frobnicate td0, td1\n",
    "bad.elf": "\x7fELF and then nothing",
    "bad.npy": "not numpy",
    "binary.ttir": None,
}
RUN = ("run", "scale.py", "--grid", "4", "--signature", SIGNATURE)
BAD = [
    (("compile", "none.py"), "none.py: error: no such file"),
    (("compile", "empty.py"), "empty.py: error: no Triton kernel"),
    (("compile", "two.py"), "two.py: error: several kernels; name one"),
    (("compile", "scale.py::nope"), "no Triton kernel 'nope'; kernels: scale_kernel"),
    (("compile", "broken.py"), "broken.py:1:"),
    (("compile", "raises.py"), "raises.py:1: error: the file cannot be run: ModuleNotFoundError"),
    (("compile", "scale.py"), "--signature is missing"),
    (("compile", "scale.py", "--signature", "*fp32"), "--signature leaves out 'out_ptr'"),
    (("compile", "scale.py", "--signature", SIGNATURE + ",1"), "--signature has 6 entries"),
    (("compile", "scale.py", "--signature", SIGNATURE.replace("*fp32", "*float")), "unknown type '*float'"),
    (("compile", "scale.py", "--signature", SIGNATURE, "--target", "mtia999"), "known targets: mtia200, mtia300"),
    (("compile", "scale.py", "--signature", SIGNATURE, "--emit", "spirv"), "unknown stage 'spirv'"),
    (("compile", "scale.py", "--signature", SIGNATURE, "--precision", "fp7"), "precision 'fp7' is not one of those"),
    (("compile", "scale.py", "--signature", SIGNATURE, "-o", "no/such/folder/k.elf"), "cannot write"),
    (("compile", "bad.ttir"), "bad.ttir:2:"),
    (("compile", "unknown.ttir"), "unknown.ttir:3:5: error: unknown Triton operation 'tt.wobble'"),
    (("compile", "binary.ttir"), "binary.ttir: error: not a text file"),
    (("compile", "bad.mlir"), "say which stage this file is at"),
    (("compile", "bad.mlir", "--from", "linalg"), "bad.mlir:3:"),
    (("opt", "bad.mlir"), "bad.mlir:3:"),
    (("opt", "--pass=nope", "bad.mlir"), "bad.mlir:3:"),
    (("as", "bad.s"), "bad.s:2:"),
    (("objdump", "bad.elf"), "bad.elf: error:"),
    (("isa", "xm.se.ad"), "did you mean xm.se.a"),
    (("wobble",), "unknown command 'wobble'"),
    ((*RUN, "--arg", "y=1"), "the kernel's arguments are x_ptr, out_ptr, factor, n"),
    ((*RUN, "--arg", "n=1"), "--arg for 'x_ptr' is missing"),
    ((*RUN, "--arg", "n=bad.npy"), "not a .npy file"),
    ((*RUN, "--arg", "n=lots"), "'lots' is neither a number"),
    ((*RUN, "--arg", "x_ptr=randn:12y:fp32"), "is no shape"),
    ((*RUN, "--arg", "x_ptr=randn:12:fp3"), "unknown type 'fp3'"),
    ((*RUN, *(part for name, value in (("x_ptr", "randn:9:fp16"), ("out_ptr", "zeros:9:fp32"), ("factor", "1"),
                                      ("n", "9")) for part in ("--arg", f"{name}={value}"))),
     "--arg x_ptr: the kernel wants *fp32, this is *fp16"),
    (("run", "scale.py", "--grid", "0", "--signature", SIGNATURE), "--grid is '0'"),
    (("run", "scale.toml", "--grid", "1"), "no such file"),
    (("run", "end.s", "--grid", "1", "--allow", ""), "unknown check ''; checks: unwritten, races, buffers"),
    (("prof", "end.s", "--grid", "1", "--allow", "race"), "unknown check 'race'; checks: unwritten, races, buffers"),
    (("verify", "--size", "5"), "which campaign? mtiac verify NAME"),
    (("verify", "--size", "-5", "strict"), "--size is -5, must not be negative"),
    (("verify", "riscv", "--instructions", "0"), "--instructions is 0, must be at least 1"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(a)[:60] for a, _ in BAD])
def test_bad_input(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in BAD_FILES.items():
        Path(name).write_bytes(b"\xff\xfe\x00" if text is None else text.encode("latin-1"))
    before = set(os.listdir())
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err and "Traceback" not in captured.err
    assert len(captured.err.strip().splitlines()) <= 3 and not captured.out
    assert set(os.listdir()) - {"__pycache__"} == before - {"__pycache__"}


def test_unsupported_type_names_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd.py").write_text(KERNEL.replace("* factor", "* factor.to(tl.nothing)"))
    assert run("compile", "odd.py", "--signature", SIGNATURE) == 2
    assert "odd.py:9:" in capsys.readouterr().err


def test_options_before_the_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--size", "2", "--json", "strict", "--seed", "3") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["campaign"], report["seed"], report["size"]) == ("strict", 3, 2)


def test_a_reader_that_has_gone() -> None:
    """As with `| head`: no message, and no error."""
    Path("end.s").write_text("_start_end:\n    xm.exit\n")
    for arguments in (("prof", "end.s", "--grid", "1"), ("isa", "--manual")):
        command = [sys.executable, "-m", "mtia.tools.cli", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 0


def test_trap_is_exit_code_3_with_the_source_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("far.s").write_text("_start_far:\n    li t0, 64\n    ld t1, 0(t0)\n    xm.exit\n")
    assert run("run", "far.s", "--grid", "1") == 3
    assert "far.s:3: trap: load outside memory" in capsys.readouterr().err


def test_internal_error_is_70(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from mtia.tools import cmd_targets

    monkeypatch.setattr(cmd_targets, "run", lambda arguments: 1 // 0)
    assert run("targets") == 70
    assert "internal error: ZeroDivisionError" in capsys.readouterr().err


def test_aborting_module_leaves_the_process_alive(capsys: pytest.CaptureFixture[str]) -> None:
    Path("abort.ll").write_text('define void @_start_f() { call void asm sideeffect "nop", ""() ret void }')
    from mtia.compiler import driver

    with pytest.raises(Exception, match="LLVM ERROR") as caught:
        driver.compile_text(Path("abort.ll").read_text(), "ll")
    os.unlink(caught.value.reproducer)  # type: ignore[attr-defined]
    assert run("compile", "scale.py", "--signature", SIGNATURE, "-o", "k.elf") == 0


def test_interrupt_is_130() -> None:
    Path("spin.s").write_text("_start_spin:\n    j _start_spin\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "mtia.tools.cli", "run", "spin.s", "--grid", "1"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in err and "Traceback" not in err


# --- the disk cache ---------------------------------------------------------------------------------------------------


def test_cache_is_used_and_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mtia.compiler import cache, driver, pipeline

    source = "func.func @k(%a: i64) {\n  return\n}\n"
    folder = cache.Cache(tmp_path / "cache")
    first = driver.compile_text(source, "pe", cache=folder)
    monkeypatch.setattr(pipeline, "run", lambda *a, **k: pytest.fail("compiled again"))
    again = driver.compile_text(source, "pe", cache=folder)
    assert again.elf == first.elf and again.metadata == first.metadata and dict(again.asm)["pe"] == first.asm["pe"]
    entries = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(entries) == 1


def test_unusable_cache_folder_is_a_warning(tmp_path: Path) -> None:
    from mtia.compiler import cache, driver

    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="not cached"):
        made = driver.compile_text("func.func @k() {\n  return\n}\n", "pe", cache=cache.Cache(blocked / "x"))
    assert made.elf[:4] == b"\x7fELF"


def test_damaged_cache_entry_is_compiled_again(tmp_path: Path) -> None:
    from mtia.compiler import cache, driver

    source, folder = "func.func @k() {\n  return\n}\n", cache.Cache(tmp_path / "cache")
    first = driver.compile_text(source, "pe", cache=folder)
    entry = next(path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    entry.write_bytes(entry.read_bytes()[:50])
    assert driver.compile_text(source, "pe", cache=folder).elf == first.elf
