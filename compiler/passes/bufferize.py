"""bufferize: tensors become buffers in local memory, in place where nothing else reads the old value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mtia.compiler.options import Options
from mtia.dialects.mlir import arith, bufferization, ir, linalg, run_passes, tensor

__all__ = ["bufferize"]

# Allocations stay inside their loop: a buffer that lives for one iteration can be double-buffered later.
_EMPTY = "builtin.module(eliminate-empty-tensors,empty-tensor-to-alloc-tensor)"
_PIPELINE = (
    "builtin.module(one-shot-bufferize{allow-unknown-ops allow-return-allocs-from-loops buffer-alignment=0},"
    "func.func(canonicalize,cse,loop-invariant-code-motion,canonicalize))"
)


def bufferize(module: Any, options: Options) -> None:
    """Bufferise every function of a module in place; arguments are buffers and scalars already."""
    loops: list[Any] = []
    generics: list[Any] = []
    constants: list[Any] = []

    def collect(op: Any) -> Any:
        if op.name in _IN_PLACE:
            loops.append(op)
        elif op.name == "arith.constant" and isinstance(op.results[0].type, ir.RankedTensorType):
            constants.append(op)
        elif op.name == "linalg.generic":
            generics.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for constant in constants:
        _fill(constant)
    _show_reads(module)
    for loop in loops:
        _IN_PLACE[loop.name](loop)
    for generic in generics:
        _overwrite_input(generic)
    run_passes(module, _EMPTY)
    _show_reads(module)  # again: those passes fold too
    run_passes(module, _PIPELINE)


def _fill(constant: Any) -> None:
    """Make a constant tensor, which folding has left, a fill: local memory holds no constants of the program."""
    type_ = constant.results[0].type
    values = ir.DenseElementsAttr(constant.attributes["value"])
    if not values.is_splat:
        return
    with ir.InsertionPoint(constant), constant.location:
        value = arith.constant(type_.element_type, values.get_splat_value())
        filled = linalg.fill(value, outs=[tensor.empty(type_.shape, type_.element_type)])
    constant.results[0].replace_all_uses_with(filled)
    constant.erase()


def _show_reads(module: Any) -> None:
    """Let what reads the buffer of a loaded tensor read the tensor, or its last use would be taken for an earlier one.

    Stores of a loaded tensor were written so, but canonicalisation folds the way from buffer to tensor and back.
    """
    loaded: list[Any] = []

    def collect(op: Any) -> Any:
        if op.name == "bufferization.to_tensor":
            loaded.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for op in loaded:
        _show_reads_of(op)


def _show_reads_of(loaded: Any) -> None:
    """The same for one loaded tensor."""
    buffer = loaded.operands[0]
    for use in list(buffer.uses):
        user = place = use.owner.operation
        while place.block != loaded.block:
            place = place.parent.operation
        if place == loaded or place.is_before_in_block(loaded):
            continue
        with ir.InsertionPoint(user), user.location:
            read = bufferization.ToBufferOp(buffer.type, loaded.results[0], read_only=True)
            user.operands[use.operand_number] = read.result


def _carry_for(loop: Any) -> None:
    """Make every carried tensor's new value land in the buffer of its old one."""
    body = loop.regions[0].blocks[0]
    _land(body, list(enumerate(list(body.arguments)[1:])))


def _carry_while(loop: Any) -> None:
    """The same for a while loop; a value comes to the second region through the condition."""
    before, after = (region.blocks[0] for region in loop.regions)
    passed = list(list(before.operations)[-1].operands)[1:]
    places = [
        (number, after.arguments[passed.index(argument)])
        for number, argument in enumerate(before.arguments)
        if argument in passed
    ]
    _land(after, places)


def _join_if(op: Any) -> None:
    """Make a tensor that leaves a branch land in a buffer that both branches share."""
    targets: list[tuple[int, Any]] = []
    with ir.InsertionPoint(op), op.location:
        for number, result in enumerate(op.results):
            if isinstance(result.type, ir.RankedTensorType):
                targets.append((number, bufferization.AllocTensorOp(result.type, []).result))
    if targets:
        for region in op.regions:
            _land(region.blocks[0], targets)


_IN_PLACE: dict[str, Callable[[Any], None]] = {"scf.for": _carry_for, "scf.while": _carry_while, "scf.if": _join_if}


def _land(body: Any, targets: Sequence[tuple[int, Any]]) -> None:
    """Make operand k of the block's terminator land in the buffer of `old`, for every (k, old)."""
    end = list(body.operations)[-1].operation
    _save_swapped(body, end, targets)
    for number, old in targets:
        new = end.operands[number]
        if not isinstance(new.type, ir.RankedTensorType) or new == old or _written_in(new, old, body):
            continue
        producer = _owner(new)
        if producer is not None and producer.name == "linalg.generic" and producer.block == body:
            if _starts_empty(producer) and _last_use(old, producer, body):
                producer.operands[_inputs(producer)] = old
                continue
        with ir.InsertionPoint(end), end.location:
            copy = linalg.CopyOp([new.type], [new], [old])
            linalg.fill_builtin_region(copy.operation)
            end.operands[number] = copy.results[0]


def _save_swapped(body: Any, end: Any, targets: Sequence[tuple[int, Any]]) -> None:
    """Copy a carried tensor that becomes another one's value, before anything lands in its buffer."""
    olds = [old for _, old in targets if isinstance(old.type, ir.RankedTensorType)]
    saved: dict[Any, Any] = {}
    for number, old in targets:
        new = end.operands[number]
        if new == old or not any(new == other for other in olds):
            continue
        if new not in saved:
            with ir.InsertionPoint.at_block_begin(body), end.location:
                place = bufferization.AllocTensorOp(new.type, []).result
                copy = linalg.CopyOp([new.type], [new], [place])
                linalg.fill_builtin_region(copy.operation)
            saved[new] = copy.results[0]
        end.operands[number] = saved[new]


def _owner(value: Any) -> Any:
    owner = value.owner
    return None if isinstance(owner, ir.Block) else owner.operation


def _written_in(value: Any, old: Any, body: Any) -> bool:
    """Whether `value` is `old` updated by operations that may write to their destination operand."""
    while value != old:
        producer = _owner(value)
        if producer is None or producer.block != body:
            return False
        number = next(number for number, result in enumerate(producer.results) if result == value)
        if producer.name == "scf.for":
            place = 3 + number
        elif producer.name.startswith("linalg."):
            place = _inputs(producer) + number
        elif producer.name == "tensor.insert_slice":
            place = 1
        else:
            return False
        value = producer.operands[place]
        if _read_beside(value, producer, place, body):
            return False  # so the operation will write to a copy
    return True


def _read_beside(value: Any, op: Any, number: int, body: Any) -> bool:
    """Whether operation `op`, which overwrites its operand `number`, or what follows it reads the old `value`."""
    for use in value.uses:
        user = use.owner.operation
        if user == op:
            elementwise = op.name == "linalg.generic" and _identity(op, use.operand_number)
            if use.operand_number != number and not elementwise:
                return True
            continue
        user = _within(user, body)
        if user is not None and not user.is_before_in_block(op):
            return True
    return False


def _within(user: Any, body: Any) -> Any:
    """The operation of the block that is `user` or holds it; None if that is outside."""
    while user.block != body:
        if user.parent is None or user.name == "func.func":
            return None  # outside of the block: the other branch, or the loop's own start
        user = user.parent.operation
    return user


def _starts_empty(generic: Any) -> bool:
    """Whether a generic with parallel loops only writes one result, to a tensor of unspecified values."""
    if len(generic.results) != 1 or "reduction" in str(generic.attributes["iterator_types"]):
        return False
    producer = _owner(generic.operands[_inputs(generic)])
    return producer is not None and producer.name == "tensor.empty"


def _last_use(value: Any, op: Any, body: Any) -> bool:
    """Whether `op` is the last operation of the block that reads `value`, and reads it element by element."""
    for use in value.uses:
        user = use.owner.operation
        if user == op:
            if not _identity(op, use.operand_number):
                return False
            continue
        user = _within(user, body)
        if user is not None and not user.is_before_in_block(op):
            return False
    return True


def _identity(generic: Any, number: int) -> bool:
    map_ = ir.AffineMapAttr(ir.ArrayAttr(generic.attributes["indexing_maps"])[number]).value
    return bool(map_ == ir.AffineMap.get_identity(map_.n_dims))


def _overwrite_input(generic: Any) -> None:
    """Let an elementwise operation write over an input that nothing reads afterwards."""
    if not _starts_empty(generic):
        return
    destination = _inputs(generic)
    wanted = generic.operands[destination].type
    for number in range(destination):
        value = generic.operands[number]
        producer = _owner(value)
        if value.type != wanted or producer is None or producer.block != generic.block:
            continue
        if _identity(generic, number) and _last_use(value, generic, generic.block):
            generic.operands[destination] = value
            return


def _inputs(op: Any) -> int:
    return len(op.operands) - len(op.results)
