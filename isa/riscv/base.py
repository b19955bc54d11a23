"""RV64I: integers, branches, loads and stores."""

# mypy: disable-error-code="valid-type, no-any-return, operator"
from __future__ import annotations

from mtia.isa.lang import Fn, Ptr, boolean, fn, i8, i16, i32, i64, select, u8, u16, u32, u64, unlikely
from mtia.isa.lang.types import Scalar
from mtia.isa.riscv.forms import binary, immediate
from mtia.isa.state import BREAKPOINT, ECALL, EXTERNAL, OK, READ, WRITE, Hart, Insn, reach
from mtia.isa.table import Flow, extension

row = extension("I", "Base integer instructions, 64 bits. x0 reads as zero; what is written to it is dropped.")


@fn
def add(a: u64, b: u64) -> u64:
    return a + b


@fn
def sub(a: u64, b: u64) -> u64:
    return a - b


@fn
def sll(a: u64, b: u64) -> u64:
    return a << (b & 63)


@fn
def slt(a: u64, b: u64) -> u64:
    return u64(i64(a) < i64(b))


@fn
def sltu(a: u64, b: u64) -> u64:
    return u64(a < b)


@fn
def xor(a: u64, b: u64) -> u64:
    return a ^ b


@fn
def srl(a: u64, b: u64) -> u64:
    return a >> (b & 63)


@fn
def sra(a: u64, b: u64) -> u64:
    return u64(i64(a) >> i64(b & 63))


@fn
def or_(a: u64, b: u64) -> u64:
    return a | b


@fn
def and_(a: u64, b: u64) -> u64:
    return a & b


@fn
def addw(a: u64, b: u64) -> u64:
    return u64(i64(i32(a + b)))


@fn
def subw(a: u64, b: u64) -> u64:
    return u64(i64(i32(a - b)))


@fn
def sllw(a: u64, b: u64) -> u64:
    return u64(i64(i32(a << (b & 31))))


@fn
def srlw(a: u64, b: u64) -> u64:
    return u64(i64(i32(u32(a) >> u32(b & 31))))


@fn
def sraw(a: u64, b: u64) -> u64:
    return u64(i64(i32(a) >> i32(b & 31)))


_REGISTER = (
    ("add", add, "0000000", "000", "x[rd] = x[rs1] + x[rs2], wrapping at 64 bits."),
    ("sub", sub, "0100000", "000", "x[rd] = x[rs1] - x[rs2], wrapping at 64 bits."),
    ("sll", sll, "0000000", "001", "x[rd] = x[rs1] << (x[rs2] mod 64)."),
    ("slt", slt, "0000000", "010", "x[rd] = 1 if x[rs1] < x[rs2] as signed integers, else 0."),
    ("sltu", sltu, "0000000", "011", "x[rd] = 1 if x[rs1] < x[rs2] as unsigned integers, else 0."),
    ("xor", xor, "0000000", "100", "x[rd] = x[rs1] ^ x[rs2]."),
    ("srl", srl, "0000000", "101", "x[rd] = x[rs1] >> (x[rs2] mod 64), zeros shifted in."),
    ("sra", sra, "0100000", "101", "x[rd] = x[rs1] >> (x[rs2] mod 64), the sign shifted in."),
    ("or", or_, "0000000", "110", "x[rd] = x[rs1] | x[rs2]."),
    ("and", and_, "0000000", "111", "x[rd] = x[rs1] & x[rs2]."),
)
for _name, _op, _high, _low, _text in _REGISTER:
    row(f"{_name} rd, rs1, rs2", f"{_high} rs2 rs1 {_low} rd 0110011", _text, timing="alu", meaning=binary(_op))

_WORD = (
    ("addw", addw, "0000000", "000", "x[rd] = sign-extended low 32 bits of x[rs1] + x[rs2]."),
    ("subw", subw, "0100000", "000", "x[rd] = sign-extended low 32 bits of x[rs1] - x[rs2]."),
    ("sllw", sllw, "0000000", "001", "x[rd] = sign-extended low 32 bits of x[rs1] << (x[rs2] mod 32)."),
    ("srlw", srlw, "0000000", "101", "x[rd] = sign-extended (low 32 bits of x[rs1]) >> (x[rs2] mod 32), zeros in."),
    ("sraw", sraw, "0100000", "101", "x[rd] = sign-extended (low 32 bits of x[rs1]) >> (x[rs2] mod 32), sign in."),
)
for _name, _op, _high, _low, _text in _WORD:
    row(f"{_name} rd, rs1, rs2", f"{_high} rs2 rs1 {_low} rd 0111011", _text, timing="alu", meaning=binary(_op))

_IMMEDIATE = (
    ("addi", add, "000", "x[rd] = x[rs1] + imm."),
    ("slti", slt, "010", "x[rd] = 1 if x[rs1] < imm as signed integers, else 0."),
    ("sltiu", sltu, "011", "x[rd] = 1 if x[rs1] < imm (sign-extended, then unsigned), else 0."),
    ("xori", xor, "100", "x[rd] = x[rs1] ^ imm."),
    ("ori", or_, "110", "x[rd] = x[rs1] | imm."),
    ("andi", and_, "111", "x[rd] = x[rs1] & imm."),
)
for _name, _op, _low, _text in _IMMEDIATE:
    row(f"{_name} rd, rs1, imm", f"imm[11:0] rs1 {_low} rd 0010011", _text, timing="alu", meaning=immediate(_op))
row(
    "addiw rd, rs1, imm", "imm[11:0] rs1 000 rd 0011011", "x[rd] = sign-extended low 32 bits of x[rs1] + imm.",
    timing="alu", meaning=immediate(addw),
)  # fmt: skip

_SHIFT = (
    ("slli", sll, "000000", "shamt[5:0]", "001", "0010011", "x[rd] = x[rs1] << shamt."),
    ("srli", srl, "000000", "shamt[5:0]", "101", "0010011", "x[rd] = x[rs1] >> shamt, zeros shifted in."),
    ("srai", sra, "010000", "shamt[5:0]", "101", "0010011", "x[rd] = x[rs1] >> shamt, the sign shifted in."),
    ("slliw", sllw, "0000000", "shamt[4:0]", "001", "0011011", "x[rd] = sign-extended low 32 bits of x[rs1] << shamt."),
    ("srliw", srlw, "0000000", "shamt[4:0]", "101", "0011011", "x[rd] = sign-extended (x[rs1] mod 2^32) >> shamt."),
    ("sraiw", sraw, "0100000", "shamt[4:0]", "101", "0011011", "x[rd] = low 32 bits of x[rs1] >> shamt, signed."),
)
for _name, _op, _high, _field, _low, _major, _text in _SHIFT:
    row(
        f"{_name} rd, rs1, shamt", f"{_high} {_field} rs1 {_low} rd {_major}", _text,
        timing="alu", meaning=immediate(_op),
    )  # fmt: skip


@row("lui rd, upper", "upper[31:12] rd 0110111", "x[rd] = upper << 12, sign-extended.", timing="alu")
@fn
def lui(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    h.x[i.rd] = u64(i.imm)
    return OK


@row("auipc rd, upper", "upper[31:12] rd 0010111", "x[rd] = pc + (upper << 12, sign-extended).", timing="alu")
@fn
def auipc(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    h.x[i.rd] = i.pc + u64(i.imm)
    return OK


@row(
    "jal rd, target", "target[20|10:1|11|19:12] rd 1101111", "x[rd] = pc + 4; pc = pc + target.",
    timing="jump", flow=Flow.JUMP,
)  # fmt: skip
@fn
def jal(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    h.x[i.rd] = i.pc + u64(i.size)
    return OK


@row(
    "jalr rd, imm(rs1)", "imm[11:0] rs1 000 rd 1100111", "pc = (x[rs1] + imm) with bit 0 cleared; x[rd] = old pc + 4.",
    timing="jump", flow=Flow.INDIRECT,
)  # fmt: skip
@fn
def jalr(h: Ptr[Hart], i: Ptr[Insn]) -> u64:
    target = (h.x[i.rs1] + u64(i.imm)) & ~u64(1)
    h.x[i.rd] = i.pc + u64(i.size)
    return target


def _branch(taken: Fn) -> Fn:
    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> boolean:
        return taken(h.x[i.rs1], h.x[i.rs2])

    return meaning


@fn
def _eq(a: u64, b: u64) -> boolean:
    return a == b


@fn
def _ne(a: u64, b: u64) -> boolean:
    return a != b


@fn
def _lt(a: u64, b: u64) -> boolean:
    return i64(a) < i64(b)


@fn
def _ge(a: u64, b: u64) -> boolean:
    return i64(a) >= i64(b)


@fn
def _ltu(a: u64, b: u64) -> boolean:
    return a < b


@fn
def _geu(a: u64, b: u64) -> boolean:
    return a >= b


_BRANCH = (
    ("beq", _eq, "000", "x[rs1] = x[rs2]"),
    ("bne", _ne, "001", "x[rs1] and x[rs2] differ"),
    ("blt", _lt, "100", "x[rs1] < x[rs2], signed"),
    ("bge", _ge, "101", "x[rs1] >= x[rs2], signed"),
    ("bltu", _ltu, "110", "x[rs1] < x[rs2], unsigned"),
    ("bgeu", _geu, "111", "x[rs1] >= x[rs2], unsigned"),
)
for _name, _op, _low, _text in _BRANCH:
    row(
        f"{_name} rs1, rs2, target", f"target[12|10:5] rs2 rs1 {_low} target[4:1|11] 1100011",
        f"pc = pc + target if {_text}.", timing="branch", flow=Flow.BRANCH, meaning=_branch(_op),
    )  # fmt: skip


def _load(kind: Scalar, wide: Scalar) -> Fn:
    size = kind.size

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        p = reach(h, h.x[i.rs1] + u64(i.imm), size, READ)
        if unlikely(p == 0):
            return EXTERNAL
        h.x[i.rd] = u64(wide(Ptr[kind](p)[0]))
        return OK

    return meaning


def _store(kind: Scalar) -> Fn:
    size = kind.size

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        p = reach(h, h.x[i.rs1] + u64(i.imm), size, WRITE)
        if unlikely(p == 0):
            return EXTERNAL
        Ptr[kind](p)[0] = kind(h.x[i.rs2])
        return OK

    return meaning


_LOADS = (
    ("lb", i8, i64, "000"), ("lh", i16, i64, "001"), ("lw", i32, i64, "010"), ("ld", u64, u64, "011"),
    ("lbu", u8, u64, "100"), ("lhu", u16, u64, "101"), ("lwu", u32, u64, "110"),
)  # fmt: skip
for _name, _kind, _wide, _low in _LOADS:
    _how = "sign-extended " if _wide is i64 else "zero-extended " if _kind is not u64 else ""
    row(
        f"{_name} rd, imm(rs1)", f"imm[11:0] rs1 {_low} rd 0000011",
        f"x[rd] = {_how}{_kind.size} bytes at x[rs1] + imm. Any alignment.", timing="load", meaning=_load(_kind, _wide),
    )  # fmt: skip
for _name, _kind, _low in (("sb", u8, "000"), ("sh", u16, "001"), ("sw", u32, "010"), ("sd", u64, "011")):
    row(
        f"{_name} rs2, imm(rs1)", f"imm[11:5] rs2 rs1 {_low} imm[4:0] 0100011",
        f"{_kind.size} bytes at x[rs1] + imm = low bits of x[rs2]. Any alignment.", timing="store",
        meaning=_store(_kind),
    )  # fmt: skip


@row(
    "fence pred, succ", "0000 pred succ 00000 000 00000 0001111",
    "Order earlier accesses of the set pred before later ones of succ. Harts execute in order, so nothing waits.",
    timing="fence",
)  # fmt: skip
@fn
def fence(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    return OK


row(
    "fence.tso", "1000 0011 0011 00000 000 00000 0001111",
    "As `fence rw, rw`, except that earlier stores need not come before later loads.", timing="fence", meaning=fence,
)  # fmt: skip


# The fields that are reserved for other fences are to be ignored (unprivileged specification, 2.7 and Zifencei).
row(
    "fence.raw uimm, from, to", "uimm[11:0] from:zimm[4:0] 000 to:zimm[4:0] 0001111",
    "A fence with reserved fields: as `fence iorw, iorw`.", timing="fence", rest=True, meaning=fence,
)  # fmt: skip


@row("ecall", "0000000 00000 00000 000 00000 1110011", "Trap with cause 8.", timing="system")
@fn
def ecall(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    return ECALL


@row("ebreak", "0000000 00001 00000 000 00000 1110011", "Trap with cause 3.", timing="system")
@fn
def ebreak(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    return BREAKPOINT


row(
    "wfi", "0001000 00101 00000 000 00000 1110011", "A hint that the hart has nothing to do; it goes on at once.",
    timing="fence", meaning=fence,
)  # fmt: skip


zifencei = extension("Zifencei", "Instruction-fetch fence.")


@zifencei(
    "fence.i", "000000000000 00000 001 00000 0001111", "Order stores before instruction fetches. Text is read-only.",
    timing="fence",
)  # fmt: skip
@fn
def fence_i(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    return OK


zifencei(
    "fence.i.raw uimm, from, to", "uimm[11:0] from:zimm[4:0] 001 to:zimm[4:0] 0001111",
    "With reserved fields: as `fence.i`.", timing="fence", rest=True, meaning=fence_i,
)


zicond = extension("Zicond", "Conditional zero.")


@fn
def _czero_eqz(a: u64, b: u64) -> u64:
    return select(b == 0, u64(0), a)


@fn
def _czero_nez(a: u64, b: u64) -> u64:
    return select(b != 0, u64(0), a)


for _name, _op, _low, _text in (("czero.eqz", _czero_eqz, "101", "is"), ("czero.nez", _czero_nez, "111", "is not")):
    zicond(
        f"{_name} rd, rs1, rs2", f"0000111 rs2 rs1 {_low} rd 0110011",
        f"x[rd] = 0 if x[rs2] {_text} zero, else x[rs1].", timing="alu", meaning=binary(_op),
    )  # fmt: skip
