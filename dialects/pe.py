"""The `pe` dialect: one op for each Xmtia instruction, made from the instruction table, and `pe.view`.

Op `pe.se_add` is instruction `xm.se.add`. Tile registers, circular buffers and other immediates are i64 attributes
with the operand's name; integer registers that are read are i64 operands in the order of the assembly syntax, a
register that is written is an i64 result.
"""

# The bindings carry no types, and a dialect's `Operation` base class is made at run time.
# mypy: disable-error-code="misc, call-arg, name-defined"

import types
from collections.abc import Callable, Sequence
from typing import Any

from mtia.dialects.mlir import ext, ir
from mtia.isa import operands, table

__all__ = ["OPS", "PE", "PREFIX", "Code", "View", "command", "immediates", "instruction", "registers", "word"]

PREFIX = "xm."
FIRST_ARGUMENT = 10  # a0: what the calling convention uses for the first operand and for the result


class PE(ext.Dialect, name="pe"):
    """Instructions of the processing element."""


def _fail(op: Any, reason: str) -> bool:
    op.location.emit_error(f"'{op.operation.name}' op {reason}")
    return False


def registers(row: table.Instruction) -> tuple[list[operands.Operand], list[operands.Operand]]:
    """The integer-register operands of a row that are read and those that are written, in order of the syntax."""
    ordered = [row.by_name[name] for name, _ in row.elements if name in row.by_name]
    integer = [operand for operand in ordered if operand.kind.name == "x"]
    return [o for o in integer if not o.writes], [o for o in integer if o.writes]


def immediates(row: table.Instruction) -> list[operands.Operand]:
    """The operands of a row that are attributes of its op, in order of the syntax."""
    ordered = [row.by_name[name] for name, _ in row.elements if name in row.by_name]
    return [operand for operand in ordered if operand.kind.name != "x"]


def _verifier(row: table.Instruction) -> Callable[[Any], bool]:
    fields = immediates(row)

    def verify_invariants(self: Any) -> bool:
        attributes = self.operation.attributes
        for field in fields:
            if field.name not in attributes:
                return _fail(self, f"needs attribute '{field.name}'")
            problem = field.problem(ir.IntegerAttr(attributes[field.name]).value)
            if problem:
                return _fail(self, problem)
        return True

    return verify_invariants


def _make(row: table.Instruction) -> type:
    """The op class of one row."""
    read, written = registers(row)
    integer = ir.IntegerType
    annotations: dict[str, Any] = {operand.name: ext.Operand[integer[64]] for operand in read}
    annotations |= {operand.name: ir.IntegerAttr for operand in immediates(row)}
    annotations |= {operand.name: ext.Result[integer[64]] for operand in written}
    body = {
        "__doc__": row.text,
        "__module__": __name__,
        "__annotations__": annotations,
        "row": row,
        "verify_invariants": _verifier(row),
    }
    op_name = row.name.removeprefix(PREFIX).replace(".", "_")  # IRDL allows no dots in the name of an operation
    class_name = "".join(part.capitalize() for part in op_name.split("_"))
    return types.new_class(class_name, (PE.Operation,), {"name": op_name}, lambda space: space.update(body))


class View(PE.Operation, name="view", traits=[ext.Pure]):
    """The memory at an address as a memref: local memory (space none or 0) or device memory (space 1)."""

    address: ext.Operand[ir.IntegerType[64]]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        kind = self.results[0].type
        if not isinstance(kind, ir.MemRefType):
            return _fail(self, f"gives a memref, not {kind}")
        strides, offset = kind.get_strides_and_offset()
        if offset != 0 or ir.ShapedType.get_dynamic_stride_or_offset() in strides:
            return _fail(self, "needs constant strides and no offset; add the offset to the address")
        if kind.rank != 1 and not kind.has_static_shape:
            return _fail(self, "needs a static shape, or one dimension of unknown size")
        return True


class Code(PE.Operation, name="code"):
    """A call of machine code: `words` are its instructions as hexadecimal digits, eight each; it ends with a return.

    Arguments and results are 64-bit words and follow the calling convention of LLVM's C functions.
    """

    arguments: Sequence[ext.Operand[Any]]
    words: ir.StringAttr
    made: Sequence[ext.Result[Any]]

    def verify_invariants(self) -> bool:
        if any(str(value.type) != "i64" for value in (*self.operands, *self.results)):
            return _fail(self, "takes and gives i64")
        words = ir.StringAttr(self.attributes["words"]).value
        return bool(words) and len(words) % 8 == 0 or _fail(self, "has no whole instructions")


OPS: dict[str, Any] = {row.name: _make(row) for row in table.all() if row.name.startswith(PREFIX)}
_rows: dict[str, table.Instruction] = {kind.OPERATION_NAME: kind.row for kind in OPS.values()}


def command(mnemonic: str, *values: Any, loc: Any = None, **fields: int) -> Any:
    """Build the op of an Xmtia instruction such as `xm.se.add` at the current insertion point.

    `values` are the i64 values of the integer registers it reads, `fields` its other operands by name. Returns the i64
    result, or None where the instruction writes no register.
    """
    i64 = ir.IntegerType.get_signless(64)
    kind = OPS[mnemonic]
    made = ir.Operation.create(
        kind.OPERATION_NAME,
        results=[i64] * len(registers(kind.row)[1]),
        operands=list(values),
        attributes={name: ir.IntegerAttr.get(i64, value) for name, value in fields.items()},
        loc=loc,
    )
    return made.results[0] if len(made.results) else None


def instruction(op: Any) -> table.Instruction | None:
    """The table row of an operation, None when it is no Xmtia instruction."""
    return _rows.get(op.name)


def word(op: Any, row: table.Instruction) -> int:
    """The encoding of a `pe` operation whose registers are those of the calling convention: a0, a1, … and result a0."""
    read, written = registers(row)
    bits = row.match
    for place, operand in enumerate(read):
        bits |= operand.insert(FIRST_ARGUMENT + place)
    for operand in written:
        bits |= operand.insert(FIRST_ARGUMENT)
    for operand in immediates(row):
        bits |= operand.insert(ir.IntegerAttr(op.attributes[operand.name]).value)
    return bits
