"""stream-blocks: blocks that local memory does not hold are worked on tile by tile, and kept in device memory between.

Runs on buffers, and only for kernels that do not fit otherwise. Operations on large buffers that follow each other
share loops over tiles (`stream_blocks_groups`); what is left, such as loops over single elements, reaches large
buffers in scratch memory. Loads wait until something needs their value, and are repeated rather than stored.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.passes.memory_origins import Origins
from mtia.compiler.passes.plan_local_memory import VIEW_OPS
from mtia.compiler.passes.select_engines import location_text
from mtia.compiler.passes.select_engines_views import Views, create
from mtia.compiler.passes.stream_blocks_emit import Emitter
from mtia.compiler.passes.stream_blocks_groups import Group, Member, Recipe, source_of
from mtia.compiler.passes.stream_blocks_loops import divide_loop
from mtia.compiler.passes.stream_blocks_nodes import Node, describe
from mtia.compiler.passes.stream_blocks_scratch import Scratch, bytes_of
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import GLOBAL, LOCAL, memory_space
from mtia.isa.xmtia.codes import Unit

__all__ = ["LEVELS", "Note", "stream_blocks"]

LEVELS = 7  # each halves what counts as large, and the tiles
LARGE = 12  # parts of local memory: a buffer of more than one is large at the first level
BUDGET = 4  # parts of local memory: one is for the tiles of a group at the first level
PURE = ("arith.", "math.", "mtia.program_id", "mtia.num_programs", "mtia.memory_at", "mtia.hart_number", "memref.dim")


@dataclasses.dataclass(frozen=True)
class Note:
    """What was done for size, and what it costs: a line of `--explain`."""

    location: str
    text: str

    def __str__(self) -> str:
        return f"{self.location}: {self.text}"


def stream_blocks(module: Any, options: Options, level: int = 0) -> list[Note]:
    """Rewrite all functions of a module in place; gives what was done."""
    notes: list[Note] = []
    with module.context, ir.Location.unknown():
        for op in module.body.operations:
            if op.operation.name == "func.func" and op.regions[0].blocks:
                notes += _Streaming(op, options, level).run()
    return notes


class _Streaming:
    """The state of the pass over one function."""

    def __init__(self, function: Any, options: Options, level: int) -> None:
        self.function = function
        self.chip = options.chip
        self.limit = options.chip.ls.bytes // LARGE >> level
        self.budget = options.chip.ls.bytes // BUDGET >> level
        self.views = Views()
        self.origins = Origins(self.views, options.overlapping)
        self.scratch = Scratch(function)
        self.emitter = Emitter(self.scratch, self.limit)
        self.large: dict[Any, Any] = {}
        self.nodes: dict[Any, Node | None] = {}
        self._roots: dict[Any, set[Any]] = {}
        self.done: list[Any] = []
        self.notes: list[Note] = []

    def run(self) -> list[Note]:
        """Stream the function; gives the notes."""
        for op in _walk(self.function.regions[0]):
            if op.name == "memref.alloc" and memory_space(op.results[0].type) == LOCAL:
                root = op.results[0]
                if root.type.has_static_shape and bytes_of(root) > self.limit:
                    self.large[root] = op
        if self.large:
            _Block(self, self.function.regions[0].blocks[0]).run()
            self.scratch.finish()
            self.origins.note(self.function)
            self.clean()
        return self.notes

    def node(self, op: Any) -> Node | None:
        """What an operation does, looked at once."""
        if op not in self.nodes:
            self.nodes[op] = describe(op, self.views, len(self.nodes))
        return self.nodes[op]

    def roots(self, op: Any) -> set[Any]:
        """Local buffers that an operation, or one inside it, names."""
        if op not in self._roots:
            inside = [inner for region in op.regions for inner in _walk(region) if inner.name not in VIEW_OPS]
            self._roots[op] = {
                self.views.root(value)
                for named in (op, *inside)
                for value in named.operands
                if isinstance(value.type, ir.MemRefType) and memory_space(value.type) != GLOBAL
            }
        return self._roots[op]

    def clean(self) -> None:
        """Erase what was replaced, and buffers and windows that nothing uses any more."""
        for op in reversed(self.done):
            op.erase()
        for op in reversed(_walk(self.function.regions[0])):
            if op.name in VIEW_OPS and not list(op.results[0].uses):
                op.erase()
        for root, alloc in self.large.items():
            for use in list(root.uses):
                if use.owner.operation.name == "memref.dealloc":
                    use.owner.operation.erase()
            if not list(root.uses):
                alloc.erase()

    def note(self, op: Any, text: str) -> None:
        """Tell the user."""
        self.notes.append(Note(location_text(op.location), text))


class _Block:
    """One block: the open group, and values that are computed where they are needed."""

    def __init__(self, state: _Streaming, block: Any) -> None:
        self.state = state
        self.block = block
        self.group = Group(state.large, state.budget, state.origins)
        self.pending: dict[Any, Recipe] = {}
        self.held: set[Any] = set()  # buffers whose value now is what the open group made
        self.rest: list[Any] = []

    def run(self) -> None:
        """All operations in order."""
        operations = [op.operation for op in self.block.operations]
        for place, op in enumerate(operations):
            self.rest = operations[place:]
            self.operation(op)
            self.rest = operations[place + 1 :]
            self.forget_dead()

    def operation(self, op: Any) -> None:
        """One operation."""
        if _quiet(op):
            return
        roots = self.state.roots(op)
        node = None if op.name.startswith("scf.") else self.state.node(op)
        if len(self.rest) == 1:
            self.end(op, roots)
        elif node is not None and roots & set(self.state.large):
            self.join(node)
        else:
            self.other(op, roots)

    def end(self, op: Any, roots: set[Any]) -> None:
        """The end of the block: values of buffers from outside of it must be in memory."""
        if roots & set(self.state.large):
            raise TooLarge
        self.close(op)
        self.materialise([root for root in self.pending if self.live(root, [])], op)

    # -- operations in tiles ----------------------------------------------------------------------------------------

    def join(self, node: Node) -> None:
        """Take an operation into the open group or a new one, or put it off."""
        state = self.state
        state.done.append(node.op)
        self.settle(node.writes, node.sends, node.op, node.reads)
        if self.reads_back(node):
            self.close(node.op)
        captured = {view.root for view in node.captured}
        self.materialise([root for root in captured if root in self.pending], node.op)
        if captured & self.group.writes:
            self.close(node.op)
            self.materialise([root for root in captured if root in self.pending], node.op)
        if self.starts(node):
            for root in node.writes:
                self.pending[root] = (node,)
            return
        made = None
        if not any(root in self.group.writes - self.held for root in node.reads if root not in self.pending):
            made = self.group.extended(node, self.recipes(node))
        if made is None:
            self.close(node.op)
            made = Group(state.large, state.budget, state.origins).extended(node, self.recipes(node))
        if made is None:
            self.materialise([root for root in node.reads if root in self.pending], node.op)
            made = Group(state.large, state.budget, state.origins).extended(node, [])
        if made is None:
            raise TooLarge
        self.group = made
        self.held |= node.writes
        for root in node.reads | node.writes:
            if self.pending.pop(root, None) is not None:
                self.held.add(root)

    def recipes(self, node: Node) -> list[Recipe]:
        """How the operands of an operation that were put off are computed."""
        return [self.pending[root] for root in node.reads if root in self.pending]

    def reads_back(self, node: Node) -> bool:
        """Whether a load may read what the open group stores."""
        if node.remote is None or node.sends:
            return False
        mine = source_of(node.op.operands[node.remote])
        stored = [
            source_of(member.node.op.operands[member.node.remote]) for member in self.group.members if member.node.sends
        ]
        return self.state.origins.overlap([mine], stored)

    def starts(self, node: Node) -> bool:
        """Whether an operation only starts values of large buffers, which the open group does not use."""
        large = set(self.state.large)
        if node.reductions or node.sends or not node.writes <= large or node.reads & (large | node.writes):
            return False
        return not node.writes & (self.group.reads | self.group.writes) and not node.reads & self.group.writes

    def settle(self, writes: set[Any], sends: bool, before: Any, used: set[Any] = frozenset()) -> None:  # type: ignore[assignment]
        """Compute what was put off before its sources change, but for what is `used` by the operation that does so."""
        for root, recipe in list(self.pending.items()):
            sources: set[Any] = set()
            started: set[Any] = set()
            for item in recipe:
                sources |= item.reads - started
                started |= item.writes
            loads = any(item.remote is not None for item in recipe)
            if (writes & sources or (sends and loads and root not in used)) and self.live(root, self.rest[1:]):
                self.materialise([root], before)

    def materialise(self, roots: list[Any], before: Any) -> None:
        """Compute values that were put off, into scratch memory."""
        for root in roots:
            recipe = self.pending.pop(root)
            group: Group | None = Group(self.state.large, self.state.budget, self.state.origins)
            for item in recipe:
                group = group.extended(item, []) if group is not None else None
            if group is None:
                raise TooLarge
            self.emit(group, {root}, before)

    # -- everything else --------------------------------------------------------------------------------------------

    def other(self, op: Any, roots: set[Any]) -> None:
        """An operation that stays as it is: on small buffers, on single elements, or with regions."""
        state = self.state
        large = roots & set(state.large)
        effects = _Effects(op, roots, state.node(op))
        if not large and not effects.nested and self.independent(effects):
            self.settle(effects.writes, effects.sends, op)
            return
        self.close(op)
        self.settle(roots, effects.sends, op)
        self.materialise([root for root in list(self.pending) if root in roots], op)
        inner = []
        if large and op.name == "scf.for":
            self.wait(op)
            inner = divide_loop(op, state.large, state.views, state.scratch, state.budget)
        if inner:
            state.done.append(op)
            for loop in inner:
                self.reach(loop)
            return
        for region in op.regions if effects.nested else []:
            for block in region.blocks:
                _Block(state, block).run()
        if large and not effects.nested:
            self.direct(op)

    def independent(self, effects: _Effects) -> bool:
        """Whether an operation may run before the open group, which began before it."""
        group = self.group
        stores = any(member.node.sends for member in group.members)
        loads = any(member.node.remote is not None for member in group.members)
        if (effects.loads and stores) or (effects.sends and (loads or stores)):
            return False
        return not effects.roots & group.writes and not effects.writes & group.reads

    def direct(self, op: Any) -> None:
        """Let an operation reach large buffers in scratch memory."""
        if op.name.startswith("mtia."):
            raise TooLarge
        self.wait(op)
        self.reach(op)

    def wait(self, before: Any) -> None:
        """Wait for transfers: what follows reads and writes scratch memory itself, or other parts of it."""
        units = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 1 << Unit.FI_IN | 1 << Unit.FI_OUT)
        create("mtia.wait", [], [], ir.InsertionPoint(before), before.location, units=units)

    def reach(self, op: Any) -> None:
        """Replace large buffers in an operation, and in those inside it, by what stands for them in scratch memory."""
        state = self.state
        ip = ir.InsertionPoint(op)
        for named in (op, *(inner for region in op.regions for inner in _walk(region))):
            for position, value in enumerate(named.operands):
                if isinstance(value.type, ir.MemRefType) and state.views.root(value) in state.large:
                    named.operands[position] = state.scratch.whole(value, state.views, ip)

    # -- the open group ---------------------------------------------------------------------------------------------

    def close(self, before: Any) -> None:
        """Write the loops of the open group, and decide what becomes of the values that are needed later."""
        group, self.group = self.group, Group(self.state.large, self.state.budget, self.state.origins)
        held, self.held = self.held, set()
        if not group.members:
            return
        sends = any(member.node.sends for member in group.members)
        kept: set[Any] = set()
        for root in [root for root in group.keys if root in self.state.large and root in group.writes & held]:
            if not self.live(root, self.rest):
                continue
            recipe = None if sends else group.recipe(root)
            if recipe is not None and self.here(root, self.rest):
                self.pending[root] = recipe
            else:
                kept.add(root)
        self.emit(group, kept, before)

    def emit(self, group: Group, kept: set[Any], before: Any) -> None:
        """Write the loops of a group without what nothing needs, and say so."""
        needed = set(kept)
        members: list[Member] = []
        for member in reversed(group.members):
            node = member.node
            if node.sends or node.writes & needed or not node.writes <= set(self.state.large):
                members.insert(0, member)
                needed |= node.reads
        if not members:
            return
        group.members = members
        tile, count = self.state.emitter.emit(group, kept, ir.InsertionPoint(before))
        self.explain(group, kept, tile, count)

    def explain(self, group: Group, kept: set[Any], tile: list[int], count: int) -> None:
        """Notes of one group."""
        rate = self.state.chip
        shape = "x".join(map(str, tile)) or "1"
        whole = "x".join(map(str, group.sizes)) or "1"
        last = group.members[-1].node.op
        self.state.note(last, f"streamed: {len(group.members)} operations on {whole} in {count} tiles of {shape}")
        for root in kept:
            size = bytes_of(root)
            cycles = math.ceil(size / rate.fi.write_bytes_per_clk)
            self.state.note(
                self.state.large[root], f"spilled: {size} bytes to device memory, about {cycles} cycles to write"
            )

    # -- what is needed later ---------------------------------------------------------------------------------------

    def live(self, root: Any, rest: Iterable[Any]) -> bool:
        """Whether the value that a buffer has now is read by the operations that follow."""
        for op in rest:
            if _quiet(op) or root not in self.state.roots(op):
                continue
            node = None if op.name.startswith("scf.") else self.state.node(op)
            return node is None or root in node.reads
        return bool(root.owner.operation.block != self.block)

    def here(self, root: Any, rest: Iterable[Any]) -> bool:
        """Whether the next operation on a buffer is one of this block that can be done in tiles."""
        for op in rest:
            if not _quiet(op) and root in self.state.roots(op):
                return not op.name.startswith("scf.") and self.state.node(op) is not None
        return False

    def forget_dead(self) -> None:
        """Drop values that were put off and that nothing needs."""
        for root in [root for root in self.pending if not self.live(root, self.rest)]:
            del self.pending[root]


class TooLarge(Exception):
    """This way of dividing does not work."""


def _walk(region: Any) -> list[Any]:
    found = []
    for block in region.blocks:
        for op in block.operations:
            found.append(op.operation)
            for inner in op.operation.regions:
                found += _walk(inner)
    return found


def _quiet(op: Any) -> bool:
    """Whether an operation touches no memory."""
    return op.name in VIEW_OPS or op.name in ("memref.alloc", "memref.dealloc") or op.name.startswith(PURE)


class _Effects:
    """What an operation that stays as it is does to memory."""

    def __init__(self, op: Any, roots: set[Any], node: Node | None) -> None:
        self.roots = roots
        self.nested = len(op.regions) > 0 and not op.name.startswith("linalg.")
        self.writes = node.writes if node is not None else set() if op.name == "memref.load" else roots
        remote = any(
            isinstance(value.type, ir.MemRefType) and memory_space(value.type) == GLOBAL for value in op.operands
        )
        self.loads = remote
        self.sends = self.nested or (remote and op.name not in ("memref.load", "mtia.dma_in", "mtia.dma_in_indexed"))
