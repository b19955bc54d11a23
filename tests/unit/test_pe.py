"""The pe dialect and its way into the executable, for every Xmtia instruction of the table."""

from __future__ import annotations

import random
from typing import Any

import pytest
from mtia.compiler import driver, pipeline
from mtia.compiler.cache import Cache
from mtia.dialects import mlir, pe
from mtia.dialects.mlir import ir
from mtia.isa import asm, elf
from mtia.isa.decode import decode
from mtia.isa.operands import Operand
from mtia.isa.table import Instruction

ROWS = [kind.row for kind in pe.OPS.values()]


def valid_value(operand: Operand, rng: random.Random) -> int:
    return next(v for v in iter(lambda: rng.randrange(1 << operand.width), None) if operand.problem(v) is None)


def text_of(row: Instruction, rng: random.Random) -> tuple[str, dict[str, int]]:
    """The op of a row in generic form, fed from %v0, %v1, …, and the values of its attributes."""
    read, written = pe.registers(row)
    fields = {operand.name: valid_value(operand, rng) for operand in pe.immediates(row)}
    attributes = ", ".join(f"{name} = {value} : i64" for name, value in fields.items())
    operands = ", ".join(f"%v{place}" for place in range(len(read)))
    types = ", ".join(["i64"] * len(read))
    result = "%r = " if written else ""
    name = pe.OPS[row.name].OPERATION_NAME
    return f'{result}"{name}"({operands}) {{{attributes}}} : ({types}) -> {"i64" if written else "()"}', fields


def module_of(lines: list[str]) -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return f"module {{\n  func.func @k(%v0: i64, %v1: i64, %v2: i64) {{\n{body}\n    return\n  }}\n}}\n"


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_word_is_the_instruction(row: Instruction) -> None:
    text, fields = text_of(row, random.Random(1))
    module = pipeline.parse(module_of([text]))
    operation = module.body.operations[0].regions[0].blocks[0].operations[0].operation
    assert pe.instruction(operation) is row
    again = pipeline.parse(str(module))
    assert str(again) == str(module)
    found = decode(pe.word(operation, row))
    assert found is not None and found.row is row
    read, written = pe.registers(row)
    registers = {operand.name: 10 + place for place, operand in enumerate(read)} | dict.fromkeys(
        (operand.name for operand in written), 10
    )
    assert found.values == fields | registers


@pytest.mark.parametrize("row", [row for row in ROWS if pe.immediates(row)], ids=lambda row: row.name)
def test_verifier_refuses_what_has_no_encoding(row: Instruction) -> None:
    from mtia.isa.errors import UserError

    text, fields = text_of(row, random.Random(2))
    operand = pe.immediates(row)[0]
    bad = text.replace(f"{operand.name} = {fields[operand.name]} :", f"{operand.name} = {1 << operand.width} :", 1)
    with pytest.raises(UserError, match=rf"`{operand.name}`"):
        pipeline.parse(module_of([bad]))


def test_every_instruction_reaches_the_executable() -> None:
    rng = random.Random(3)
    lines: list[str] = []
    wanted: list[Instruction] = []
    for row in ROWS:
        if row.name == "xm.exit":
            continue
        text, _ = text_of(row, rng)
        lines.append(text.replace("%r", f"%r{len(lines)}"))
        wanted.append(row)
    source = module_of(lines)
    module = pipeline.parse(source)
    operations = list(module.body.operations[0].regions[0].blocks[0].operations)
    words = [pe.word(op.operation, row) for op, row in zip(operations, wanted, strict=False)]
    made = driver.compile_text(source, "pe", cache=Cache(None))
    code = elf.read(made.elf).section(".text")
    assert code is not None
    shown = [line.split("#")[0].strip() for line in asm.listing(code.data).splitlines()]
    assert [line for line in shown if line.startswith("xm.")] == [asm.disassemble(word) for word in words]
    assert made.metadata["arguments"] == ["i64", "i64", "i64"]


def test_operands_arrive_in_the_argument_registers() -> None:
    """The two operands are swapped on the way in, so the code must move them before the command."""
    lines = ['"pe.td_shape"(%v1, %v0) {td = 3 : i64} : (i64, i64) -> ()']
    made = driver.compile_text(module_of(lines), "pe", cache=Cache(None))
    shown = [line.split("#")[0].strip() for line in str(made.asm["asm"]).splitlines()]
    command = next(place for place, line in enumerate(shown) if line.startswith("xm.td.shape"))
    assert shown[command] == "xm.td.shape td3, a0, a1"
    before = shown[:command]
    first = next(line for line in before if "a1, 32(a0)" in line)
    second = next(line for line in before if "a0, 40(a0)" in line)
    assert before.index(first) < before.index(second)


def test_commands_keep_their_order_around_memory_accesses() -> None:
    """A command may read and write local memory, so a load after it must not move before it."""
    lines = [
        "%c0 = arith.constant 0 : index",
        '%m = "pe.view"(%v0) : (i64) -> memref<4xi32>',
        "%one = arith.constant 1 : i32",
        "memref.store %one, %m[%c0] : memref<4xi32>",
        '"pe.wait"(%v1) : (i64) -> ()',
        "%x = memref.load %m[%c0] : memref<4xi32>",
        "%y = arith.addi %x, %one : i32",
        "memref.store %y, %m[%c0] : memref<4xi32>",
    ]
    shown = str(driver.compile_text(module_of(lines), "pe", cache=Cache(None)).asm["asm"]).splitlines()
    kinds = [word.removeprefix("c.") for line in shown for word in line.split()[:1]]
    assert [kind for kind in kinds if kind in ("sw", "lw", "xm.wait")] == ["sw", "xm.wait", "lw", "sw"]


def builder_module() -> Any:
    with mlir.using(pipeline.context()):
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            function = mlir.func.FuncOp("k", ([], []))
            with ir.InsertionPoint(function.add_entry_block()):
                core = pe.command("xm.rdinfo", k=1)
                assert pe.command("xm.td.off", core, td=5) is None
                mlir.func.return_([])
        return module


def test_command_builds_ops() -> None:
    module = builder_module()
    assert module.operation.verify()
    assert '"pe.td_off"(%0) {td = 5 : i64}' in str(module)
