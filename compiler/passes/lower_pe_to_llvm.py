"""`lower-pe-to-llvm`: hart code and `pe` instructions to the LLVM dialect, and from there to LLVM IR text.

The kernel becomes the program entry `_start_<kernel>(launch block)`, which loads its arguments; memrefs become
addresses that LLVM knows nothing about; every instruction of the units becomes a call of an external function named
after its encoded word. `to_llvm_ir` turns those calls into patchpoints with the calling convention `riscv_vector_cc`:
LLVM puts the operands into a0, a1, … and takes the result from a0, and the linker writes the word over the reserved
bytes.
"""

from __future__ import annotations

import re
from typing import Any

from mtia.compiler.backend.features import DATA_LAYOUT, TRIPLE, VSCALE, Hart, feature_string
from mtia.compiler.backend.literals import older_spelling
from mtia.compiler.locations import place_of
from mtia.compiler.options import Options
from mtia.compiler.passes.expand_floats import expand_floats
from mtia.compiler.passes.expand_math import expand_math
from mtia.dialects import pe
from mtia.dialects.mlir import arith, builtin, func, ir, llvm, run_passes
from mtia.isa.errors import UserError
from mtia.isa.xmtia.codes import Info

__all__ = ["ENTRY_PREFIX", "lower_pe_to_llvm", "to_llvm_ir"]

ENTRY_PREFIX = "_start_"
VECTOR_SUFFIX = ".vector"  # of the function that only harts with the vector unit enter
ARGUMENT_OFFSET = 32  # of the first argument in the launch block (design, section 4)
ARGUMENT_BYTES = 8
CODE = pe.Code.OPERATION_NAME  # a call of machine code
UNKNOWN_SIZE = (1 << 63) - 1

UPSTREAM = (
    "builtin.module(expand-strided-metadata,lower-affine,convert-vector-to-scf,convert-scf-to-cf,%s"
    "arith-emulate-unsupported-floats{source-types=bf16 target-type=f32},arith-expand%s,canonicalize,cse,"
    "convert-to-llvm,reconcile-unrealized-casts,ensure-debug-info-scope-on-llvm-func)"
)
# For harts without the bf16 extension: functions of the math dialect in f32, conversions as integer arithmetic.
SOFT_BF16 = ("math-extend-to-supported-types{extra-types=f16 target-type=f32},", "{include-bf16=true}")


def lower_pe_to_llvm(module: Any, options: Options) -> None:
    """Lower a module at stage `pe` in place to the LLVM dialect."""
    with module.context, ir.Location.unknown():
        functions = [op for op in module.body.operations if op.operation.name == "func.func"]
        for function in functions:
            _make_entry(function)
            if options.hart_only:
                _read_info_from_arguments(function)
            elif "mtia.vector" in function.attributes:
                _guard(function, options.chip.hart.vector_mask, options.chip.hart.count)
        _lower_operations(module)
        expand_math(module, options)
        expand_floats(module, options)
        # The layout decides the alignment of loads and stores in the translation.
        module.operation.attributes["llvm.data_layout"] = ir.StringAttr.get(DATA_LAYOUT)
        module.operation.attributes["llvm.target_triple"] = ir.StringAttr.get(TRIPLE)
    run_passes(module, UPSTREAM % (SOFT_BF16 if options.hart_only else ("", "")))


def _make_entry(function: Any) -> None:
    """Replace the arguments of a kernel by loads from the launch block, whose address is the only argument left."""
    name = ir.StringAttr(function.attributes["sym_name"]).value
    block = function.regions[0].blocks[0]
    i64 = ir.IntegerType.get_signless(64)
    kernel_arguments = list(block.arguments)
    launch = block.add_argument(i64, function.location)
    with ir.InsertionPoint.at_block_begin(block), function.location:
        for index, argument in enumerate(kernel_arguments):
            argument.replace_all_uses_with(_load_argument(launch, index, argument.type))
    for _ in kernel_arguments:
        block.erase_argument(0)
    attributes = function.attributes
    attributes["sym_name"] = ir.StringAttr.get(ENTRY_PREFIX + name)
    attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get([i64], []))
    if "arg_attrs" in attributes:
        del attributes["arg_attrs"]


def _guard(function: Any, vector_mask: int, harts: int) -> None:
    """Where only some harts have vectors, end the others in an entry of its own.

    Otherwise LLVM may put vector code before the branch that keeps them out, for example to make room for spills.
    """
    if vector_mask == (1 << harts) - 1:
        return
    i64 = ir.IntegerType.get_signless(64)
    name = ir.StringAttr(function.attributes["sym_name"]).value
    function.attributes["sym_name"] = ir.StringAttr.get(name + VECTOR_SUFFIX)
    # A call that LLVM could inline must say where it is, in a kernel made without source lines too.
    unknown = function.location == ir.Location.unknown()
    with ir.InsertionPoint(function), ir.Location.file("<unknown>", 0, 0) if unknown else function.location:
        entry = func.FuncOp(name, ([i64] * 3, []))
        block = entry.add_entry_block()
        with ir.InsertionPoint(block):
            launch, _, core = block.arguments
            mask = arith.shrui(arith.constant(i64, vector_mask), core)
            has_vectors = arith.trunci(ir.IntegerType.get_signless(1), mask)
            branch = ir.Operation.create("scf.if", operands=[has_vectors], regions=2)
            with ir.InsertionPoint(branch.regions[0].blocks.append()):
                callee = {"callee": ir.FlatSymbolRefAttr.get(name + VECTOR_SUFFIX)}
                ir.Operation.create("func.call", operands=[launch], attributes=callee)
                ir.Operation.create("scf.yield")
            func.return_([])


# The registers a program starts with after the launch block in a0 (design, section 4), by what `xm.rdinfo` calls them.
START_REGISTERS = (Info.RANK, Info.CORE, Info.CORES)
PES_OFFSET = 16  # of the number of PEs in the launch block


def _read_info_from_arguments(function: Any) -> None:
    """Without instructions of the command processor, take what they tell from the start registers."""
    i64 = ir.IntegerType.get_signless(64)
    block = function.regions[0].blocks[0]
    known = {int(key): block.add_argument(i64, function.location) for key in START_REGISTERS}
    with ir.InsertionPoint.at_block_begin(block), function.location:
        place = arith.addi(block.arguments[0], arith.constant(i64, PES_OFFSET))
        pes = llvm.load(ir.IntegerType.get_signless(32), llvm.inttoptr(llvm.PointerType.get(), place))
        known[int(Info.PES)] = arith.extui(i64, pes)
    inputs = [argument.type for argument in block.arguments]
    function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(inputs, []))
    found: list[Any] = []

    def collect(operation: Any) -> Any:
        if operation.name == pe.OPS["xm.rdinfo"].OPERATION_NAME:
            found.append(operation)
        return ir.WalkResult.ADVANCE

    function.operation.walk(collect)
    for operation in found:
        key = ir.IntegerAttr(operation.attributes["k"]).value
        if key in known:
            operation.results[0].replace_all_uses_with(known[key])
            operation.erase()


def _load_argument(launch: Any, index: int, kind: Any) -> Any:
    i64 = ir.IntegerType.get_signless(64)
    offset = arith.constant(i64, ARGUMENT_OFFSET + ARGUMENT_BYTES * index)
    pointer = llvm.inttoptr(llvm.PointerType.get(), arith.addi(launch, offset))
    if isinstance(kind, ir.MemRefType):
        return pe.View(llvm.load(i64, pointer), kind).results[0]
    if isinstance(kind, ir.IndexType):
        return arith.index_cast(kind, llvm.load(i64, pointer))
    return llvm.load(kind, pointer)


def _lower_operations(module: Any) -> None:
    """Rewrite `pe` operations: instructions to calls, views to memref descriptors."""
    found: list[Any] = []

    def collect(operation: Any) -> Any:
        if operation.name.startswith("pe."):
            found.append(operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    declared: dict[str, Any] = {}
    for operation in found:
        row = None if operation.name == CODE else pe.instruction(operation)
        with ir.InsertionPoint(operation), operation.location:
            if row is None and operation.name != CODE:
                replacement = [_descriptor(operation.operands[0], operation.results[0].type)]
            else:
                if row is None:
                    symbol = f"{CODE}.{ir.StringAttr(operation.attributes['words']).value}"
                else:
                    symbol = f"{row.name}.{pe.word(operation, row):08x}"
                inputs = [operand.type for operand in operation.operands]
                declared[symbol] = ir.FunctionType.get(inputs, [result.type for result in operation.results])
                replacement = _call(symbol, operation)
        for old, new in zip(operation.results, replacement, strict=True):
            old.replace_all_uses_with(new)
        operation.erase()
    with ir.InsertionPoint(module.body):
        for symbol, kind in declared.items():
            func.FuncOp(symbol, kind, visibility="private")


def _call(symbol: str, operation: Any) -> list[Any]:
    results = [result.type for result in operation.results]
    callee = {"callee": ir.FlatSymbolRefAttr.get(symbol)}
    return list(ir.Operation.create("func.call", results, list(operation.operands), callee).results)


def _descriptor(address: Any, kind: Any) -> Any:
    """The memref descriptor of the memory at `address`, as the upstream conversion lays it out."""
    i64 = ir.IntegerType.get_signless(64)
    space = ir.IntegerAttr(kind.memory_space).value if kind.memory_space is not None else 0
    pointer = llvm.inttoptr(llvm.PointerType.get(space), address)
    per_dimension = ir.Type.parse(f"!llvm.array<{kind.rank} x i64>")
    fields = [pointer.type, pointer.type, i64] + [per_dimension] * (2 if kind.rank else 0)
    value = llvm.mlir_poison(llvm.StructType.get_literal(fields))
    strides, offset = kind.get_strides_and_offset()
    sizes = [UNKNOWN_SIZE if kind.is_dynamic_dim(d) else kind.get_dim_size(d) for d in range(kind.rank)]
    places: list[tuple[Any, list[int]]] = [(pointer, [0]), (pointer, [1]), (arith.constant(i64, offset), [2])]
    places += [(arith.constant(i64, size), [3, d]) for d, size in enumerate(sizes)]
    places += [(arith.constant(i64, stride), [4, d]) for d, stride in enumerate(strides)]
    for part, place in places:
        value = llvm.insertvalue(value, part, place)
    return builtin.unrealized_conversion_cast([kind], [value])


# --- LLVM IR text ----------------------------------------------------------------------------------------------------

_COMMAND = re.compile(r"call (void|i64) @(xm\.[a-z0-9._]+)\.([0-9a-f]{8})\(([^)]*)\)")
_COMMAND_DECLARATION = re.compile(r"^declare (?:void|i64) @xm\..*\n", re.MULTILINE)
_CODE_DECLARATION = re.compile(
    rf"^declare (?:!dbg !\d+ )?(.*) @({re.escape(CODE)}\.([0-9a-f]+))\((.*)\)$", re.MULTILINE
)
_PATCHPOINT = "@llvm.experimental.patchpoint"
_SIGNATURE = "(i64, i32, ptr, i32, ...)"


def _patchpoint(match: re.Match[str]) -> str:
    kind, _, word, arguments = match.groups()
    count = arguments.count(",") + 1 if arguments else 0
    fixed = f"i64 {int(word, 16)}, i32 4, ptr null, i32 {count}"
    given = f"{fixed}, {arguments}" if arguments else fixed
    return f"call riscv_vector_cc {kind} {_SIGNATURE} {_PATCHPOINT}.{kind}({given})"


def _code(match: re.Match[str]) -> str:
    """A function whose instructions are given; LLVM must not look at its empty body, so it is weak."""
    result, name, words, arguments = match.groups()
    values = ", ".join(f"i32 {int(words[at : at + 8], 16)}" for at in range(0, len(words), 8))
    data = f"[{len(words) // 8} x i32] [{values}]"
    return f"define weak {result} @{name}({arguments}) naked noinline nounwind prologue {data} {{\n  unreachable\n}}"


def _attributes(hart: Hart) -> str:
    features = feature_string(hart)
    vector = f" vscale_range({VSCALE},{VSCALE})" if "+v," in features else ""
    return f'{{ nounwind "no-builtins" "target-features"="{features}"{vector} }}'


def _refuse_what_is_left(block: Any) -> None:
    """Raise for a type that no pass has lowered: the translation to LLVM IR would end the process."""
    for op in block.operations:
        operation = op.operation
        if operation.name == "builtin.unrealized_conversion_cast":
            kinds = " or ".join(str(value.type) for value in (*operation.operands, *operation.results))
            raise UserError(f"values of type {kinds} are not supported here yet", *place_of(operation.location))
        for region in operation.regions:
            for inner in region.blocks:
                _refuse_what_is_left(inner)


# A value of type bf16 or a constant of it. LLVM would move such a value through f32 where harts do not know the type.
_BF16 = re.compile(r"\bbfloat(?: 0xR([0-9A-F]{4}))?|\b0xR([0-9A-F]{4})\b")


def _bits_of_bf16(found: re.Match[str]) -> str:
    """The same as an integer of 16 bits."""
    bits = found.group(1) or found.group(2)
    kind = "i16" if found.group(0).startswith("bfloat") else ""
    return kind if bits is None else f"{kind} {int(bits, 16)}".strip()


def to_llvm_ir(module: Any, hart: Hart) -> str:
    """The LLVM IR text of a module in the LLVM dialect, for a kind of hart.

    Where a function exists for vector harts only, the others are for any hart.
    """
    _refuse_what_is_left(module.body)
    text = older_spelling(llvm.translate_module_to_llvmir(module.operation))
    text = _COMMAND.sub(_patchpoint, _COMMAND_DECLARATION.sub("", text))
    if hart in (Hart.PORTABLE, Hart.PORTABLE_SCALAR):
        text = _BF16.sub(_bits_of_bf16, text)
    # Device memory and local memory share one address space of the hart.
    text = text.replace(" addrspace(1)", "")
    is_split = f"{VECTOR_SUFFIX}(" in text
    text = re.sub(r"^(define [^{]*?)((?: !dbg ![0-9]+)? \{)$", r"\1 #0\2", text, flags=re.MULTILINE)
    text = re.sub(rf"^(define .*{re.escape(VECTOR_SUFFIX)}\(.*) #0", r"\1 #1", text, flags=re.MULTILINE)
    declarations = "".join(f"declare {kind} {_PATCHPOINT}.{kind}{_SIGNATURE}\n" for kind in ("void", "i64"))
    text = _CODE_DECLARATION.sub(_code, text)
    attributes = f"attributes #0 = {_attributes(Hart.SCALAR if is_split else hart)}\n"
    if is_split:
        attributes += f"attributes #1 = {_attributes(hart)}\n"
    return text + declarations + attributes
