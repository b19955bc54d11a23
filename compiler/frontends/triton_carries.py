"""Loop-carried variables that Triton's code generator misses, for kernels that are compiled for our chips.

Triton visits the body of a loop once to see which names end with another value than they began with. Two names that
begin with one and the same value, one of them assigned from the other, look as if nothing had changed:

    a = b = start
    for _ in range(n):
        a = b
        b = x

Here `a` is `x` after two iterations, but Triton 3.7 makes it `start`. Names that share a value and occur in the loop
have a copy each while Triton looks; the loop itself begins with the values as they were.
"""

from __future__ import annotations

import ast
import functools
from collections import Counter
from typing import Any

__all__ = ["install"]


def install() -> None:
    """Have Triton's code generator find these variables too, once per process and for the backend "mtia" alone."""
    from triton.compiler.code_generator import CodeGenerator

    original = CodeGenerator._find_carries
    if getattr(original, "__module__", None) == __name__:
        return

    @functools.wraps(original, assigned=("__doc__", "__name__", "__qualname__"), updated=())
    def find_carries(self: Any, node: ast.AST, liveins: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if self.builder.options.backend_name != "mtia":
            return original(self, node, liveins, *args, **kwargs)
        aliases = _aliases(node, liveins)
        copies = {name: _copy(self.builder, value) for name, value in aliases.items()}
        liveins.update(copies)
        self.lscope.update(copies)
        names, handles, types = original(self, node, liveins, *args, **kwargs)
        liveins.update(aliases)
        self.lscope.update(aliases)
        starts = {
            copy.id(): start
            for name, value in aliases.items()
            for copy, start in zip(_handles(copies[name]), _handles(value), strict=True)
        }
        return names, [starts.get(handle.id(), handle) for handle in handles], types

    find_carries.__module__ = __name__
    CodeGenerator._find_carries = find_carries


def _aliases(node: ast.AST, liveins: dict[str, Any]) -> dict[str, Any]:
    """The values that occur in the loop and share a part with another name; descriptors aside, which have no copies."""
    from triton.language.core import base_value

    occurring = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    handles = {name: _handles(value) for name, value in liveins.items() if isinstance(value, base_value)}
    sharing = Counter(handle.id() for several in handles.values() for handle in several)
    return {
        name: liveins[name]
        for name in handles
        if name in occurring
        and any(sharing[handle.id()] > 1 for handle in handles[name])
        and not any("tensordesc" in str(handle.get_type()) for handle in handles[name])
    }


def _handles(value: Any) -> list[Any]:
    """The IR values of a tensor, a tuple or an aggregate."""
    from triton.compiler.code_generator import flatten_values_to_ir

    return list(flatten_values_to_ir([value]))


def _copy(builder: Any, value: Any) -> Any:
    """The same value by other operations, which die when nothing but the search has used them."""
    copies = [builder.create_bitcast(handle, handle.get_type()) for handle in _handles(value)]
    return value.type._unflatten_ir(copies, 0)[0]
