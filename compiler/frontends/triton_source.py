"""From a `@triton.jit` function to optimised TTIR text with Triton's own front end and passes; needs no device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from mtia.compiler.frontends import triton_carries
from mtia.isa.errors import UserError

__all__ = ["SourceOptions", "codegen_functions", "optimise", "to_ttir"]


@dataclass(frozen=True)
class SourceOptions:
    """The options Triton's code generator reads; the names are Triton's."""

    num_warps: int = 1
    num_ctas: int = 1
    num_stages: int = 1
    debug: bool = False
    sanitize_overflow: bool = False
    arch: str = "mtia"
    backend_name: str = "mtia"
    enable_fp_fusion: bool = True
    launch_cooperative_grid: bool = False
    supported_fp8_dtypes: tuple[str, ...] = ("fp8e5", "fp8e4nv", "fp8e5b16", "fp8e4b8", "fp8e4b15")
    deprecated_fp8_dot_operand_dtypes: tuple[str, ...] = ()
    default_dot_input_precision: str = "ieee"
    allowed_dot_input_precisions: tuple[str, ...] = ("ieee", "tf32", "tf32x3", "bf16x3", "bf16x6")
    max_num_imprecise_acc_default: int = 0
    extern_libs: tuple[tuple[str, str], ...] = ()


def _min_dot_size(lhs: Any, rhs: Any) -> tuple[int, int, int]:
    """Any shape of `tl.dot` is allowed: small ones run on the vector hart."""
    return (1, 1, 1)


def _convert_e4b15(source: Any, target: Any, rounding: Any = None, _semantic: Any = None) -> Any:
    """Casts from and to `fp8e4b15`, which MLIR has no type for: the fields of e4m3 with the exponent bias of f16.

    There is no NaN and no infinity: those and what is larger than 1.75 become that. A code is the e4m3 code of 256
    times its value, and for the other direction the middle bits of f16.
    """
    import triton.language as tl

    def retyped(value: Any, element: Any) -> Any:
        return tl.tensor(value.handle, value.type.with_element_ty(element) if value.type.is_block() else element)

    if source.type.scalar.is_fp8e4b15():
        code = retyped(source, tl.uint8).to(tl.uint16, _semantic=_semantic)
        fields = code.__and__(0x7F, _semantic=_semantic).__lshift__(7, _semantic=_semantic)
        sign = code.__and__(0x80, _semantic=_semantic).__lshift__(8, _semantic=_semantic)
        bits = fields.__or__(sign, _semantic=_semantic).to(tl.uint16, _semantic=_semantic)
        return bits.to(tl.float16, bitcast=True, _semantic=_semantic).to(target.scalar, _semantic=_semantic)
    if source.type.scalar.is_fp64():
        raise ValueError("a cast of fp64 to fp8e4b15 would round twice; cast to fp32 first")
    number = source.to(tl.float32, _semantic=_semantic)
    number = _semantic.where(number.__eq__(number, _semantic=_semantic), number, _semantic.to_tensor(1.75))
    scaled = number.__mul__(256.0, _semantic=_semantic)
    kind = source.type.with_element_ty(tl.float8e4nv) if source.type.is_block() else tl.float8e4nv
    code = _semantic.builder.create_fp_to_fp(scaled.handle, kind.to_ir(_semantic.builder), rounding)
    return retyped(tl.tensor(code, kind).to(tl.uint8, bitcast=True, _semantic=_semantic), tl.float8e4b15)


def codegen_functions() -> dict[str, Callable[..., Any]]:
    """The functions Triton's code generator asks a target for; asked for at the start of every compilation."""
    triton_carries.install()
    return {"min_dot_size": _min_dot_size, "convert_custom_types": _convert_e4b15}


def optimise(module: Any) -> None:
    """Run Triton's target-independent passes on a libtriton module in place; block pointers stay block pointers."""
    from triton._C.libtriton import ir, passes  # type: ignore[import-not-found,unused-ignore]

    manager = ir.pass_manager(module.context)
    passes.common.add_inliner(manager)
    passes.common.add_canonicalizer(manager)
    passes.ttir.add_combine(manager)
    passes.ttir.add_reorder_broadcast(manager)
    passes.common.add_cse(manager)
    if "!tt.ptr<tensor<" not in str(module):  # it gives a load through a block pointer a mask, which no such load has
        passes.ttir.add_triton_licm(manager)
    passes.common.add_symbol_dce(manager)
    passes.ttir.add_loop_unroll(manager)
    manager.run(module, "make_ttir")


def to_ttir(
    function: Any,
    signature: Mapping[str, str],
    constants: Mapping[str, Any] | None = None,
    attributes: Mapping[tuple[int, ...], list[list[Any]]] | None = None,
    options: SourceOptions | None = None,
    module_map: Mapping[str, ModuleType] | None = None,
) -> str:
    """Optimised TTIR text of a `@triton.jit` function, with the user's locations.

    `signature` gives Triton's type name of every argument (`*fp32`, `i32`, …; `constexpr` may be left out),
    `constants` the values of the constexpr ones, `attributes` Triton's argument attributes by index path.
    """
    from triton._C.libtriton import ir
    from triton.compiler.compiler import ASTSource, GPUTarget
    from triton.compiler.errors import CompilationError

    constants = dict(constants or {})
    unknown = [name for name in (*signature, *constants) if name not in function.arg_names]
    missing = [name for name in function.arg_names if name not in signature and name not in constants]
    if unknown or missing:
        problem = (
            f"has no argument '{unknown[0]}'" if unknown else f"needs a type or a value for argument '{missing[0]}'"
        )
        raise UserError(f"kernel '{function.__name__}' {problem}")
    types = {name: "constexpr" if name in constants else signature[name] for name in function.arg_names}
    source = ASTSource(function, types, constants, dict(attributes or {}))
    context = ir.context()
    ir.load_dialects(context)
    target = GPUTarget("mtia", "mtia", 1)
    try:
        with _ieee_by_default():
            module = source.make_ir(
                target, options or SourceOptions(), codegen_functions(), dict(module_map or {}), context
            )
    except CompilationError as error:
        raise _user_error(error, function) from error
    optimise(module)
    return str(module.str()) if hasattr(module, "str") else str(module)


@contextmanager
def _ieee_by_default() -> Iterator[None]:
    """An fp32 `tl.dot` that names no precision is IEEE fp32, where Triton would write tf32."""
    from triton import knobs

    with knobs.language.scope():
        if knobs.language.fp32_default is None:
            knobs.language.fp32_default = "ieee"
        yield


def _user_error(error: Any, function: Any) -> UserError:
    """Triton's compilation error as ours: the place in the kernel itself, the message of the innermost cause."""
    from triton.compiler.code_generator import get_jit_fn_file_line

    file, first_line = get_jit_fn_file_line(function)
    line = None if error.node is None else error.node.lineno + first_line - 1
    column = None if error.node is None else error.node.col_offset + 1
    innermost: BaseException = error
    while innermost.__cause__ is not None:
        innermost = innermost.__cause__
    message = getattr(innermost, "error_message", None) or str(innermost) or "cannot compile the kernel"
    return UserError(message, file, line, column)
