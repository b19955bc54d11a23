"""What of a model is one kernel, and its tiles: computed by hand from the limits in `spread_tile.py` and 72 PEs."""

from __future__ import annotations

import re

import pytest
from mtia.compiler import pipeline
from mtia.compiler.options import Options


def tiles(text: str) -> tuple[list[str], list[str]]:
    """The tiles that programs send out, and the factors of products, as `spread` makes kernels of a function."""
    clean = "builtin.module(canonicalize,func.func(linalg-generalize-named-ops),canonicalize,cse)"
    from mtia.dialects import mlir

    with mlir.using(pipeline.context()):
        module = pipeline.parse(text)
        mlir.run_passes(module, clean)
        pipeline.run_pass("spread", module, Options(target="mtia300"))
        made = str(module)
    out = re.findall(r'"mtia\.dma_out"\(.*?: \(memref<([0-9x]+)xf', made)
    factors = re.findall(r"linalg\.\w*matmul\w* .*?ins\(.*? : memref<([0-9x]+)xf\d+[^>]*>, memref<([0-9x]+)xf", made)
    return out, [factor for pair in factors for factor in pair]


def elementwise(rows: int, columns: int) -> str:
    kind = f"tensor<{rows}x{columns}xf32>"
    return f"""
#id = affine_map<(d0, d1) -> (d0, d1)>
#column = affine_map<(d0, d1) -> (d1)>
func.func @main(%x: {kind}, %y: tensor<{columns}xf32>) -> {kind} {{
  %e = tensor.empty() : {kind}
  %r = linalg.generic {{indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel"]}}
      ins(%x, %y : {kind}, tensor<{columns}xf32>) outs(%e : {kind}) {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  }} -> {kind}
  return %r : {kind}
}}
"""


def product(m: int, n: int, k: int, element: str) -> str:
    a, b, c = (f"tensor<{rows}x{columns}x{element}>" for rows, columns in ((m, k), (k, n), (m, n)))
    return f"""
func.func @main(%x: {a}, %w: {b}) -> {c} {{
  %zero = arith.constant 0.0 : {element}
  %e = tensor.empty() : {c}
  %z = linalg.fill ins(%zero : {element}) outs(%e : {c}) -> {c}
  %p = linalg.matmul ins(%x, %w : {a}, {b}) outs(%z : {c}) -> {c}
  return %p : {c}
}}
"""


def reduction(rows: int, columns: int) -> str:
    kind, result = f"tensor<{rows}x{columns}xf32>", f"tensor<{rows}xf32>"
    return f"""
#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
func.func @main(%x: {kind}) -> {result} {{
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : {result}
  %z = linalg.fill ins(%zero : f32) outs(%e : {result}) -> {result}
  %r = linalg.generic {{indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}}
      ins(%x : {kind}) outs(%z : {result}) {{
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %a, %o : f32
    linalg.yield %s : f32
  }} -> {result}
  return %r : {result}
}}
"""


@pytest.mark.parametrize(
    ("rows", "columns", "tile"),
    [
        (2048, 2048, "4x1024"),  # 1024 of a row, 4096 in all
        (1000, 100, "10x100"),  # 40 rows are 4000 elements; 25 and 50 programs are too few, 100 are not
        (4, 4, "4x4"),  # 64 elements or fewer are not divided
        (8, 1024, "64"),  # rows are divided first, then columns: 64 programs are too few, 128 are not
    ],
)
def test_elementwise(rows: int, columns: int, tile: str) -> None:
    assert tiles(elementwise(rows, columns))[0] == [tile]


@pytest.mark.parametrize(
    ("m", "n", "k", "element", "factors"),
    [
        (1024, 1024, 1024, "f16", ["64x128", "128x64"]),
        (1024, 1024, 96, "f16", ["64x96", "96x64"]),
        (1024, 1024, 160, "f16", ["64x80", "80x64"]),  # up to one and a half are divided in halves
        (1024, 1024, 200, "f16", ["64x128", "128x64"]),
        (100, 200, 96, "f16", ["16x96", "96x16"]),  # 64x64 are 8 programs; sides are halved in turn to 91
        (16, 16, 64, "f16", ["16x64", "64x16"]),  # the matrix engine's least, however few programs
        (16, 64, 64, "f32", ["2x64", "64x16"]),  # vectors of the hart run along columns, so rows go further
    ],
)
def test_products(m: int, n: int, k: int, element: str, factors: list[str]) -> None:
    assert tiles(product(m, n, k, element))[1] == factors


@pytest.mark.parametrize(
    ("rows", "columns", "tile"),
    [(1024, 512, "8"), (64, 4096, "1"), (8192, 100, "40")],  # folded dimensions whole, 4096 elements in all
)
def test_reductions(rows: int, columns: int, tile: str) -> None:
    assert [size.split("x")[0] for size in tiles(reduction(rows, columns))[0]] == [tile]


SAME, ROWS, COLUMNS = "affine_map<(i, j) -> (i, j)>", "affine_map<(i, j) -> (i)>", "affine_map<(i, j) -> (j)>"
BODIES = {
    "exp": ("%new = math.exp %k : f32", 1),
    "twice": ("%new = arith.addf %k, %k : f32", 1),
    "add": ("%new = arith.addf %k, %l : f32", 2),
}


def statement(name: str, what: str, *operands: str, map_: str = SAME, kinds: tuple[str, ...] = ()) -> str:
    """One elementwise operation on 128x128 f32."""
    kind = "tensor<128x128xf32>"
    body, count = BODIES[what]
    given = ", ".join(kinds or (kind,) * count)
    maps = ", ".join([SAME] * (count - 1) + [map_ if count == 2 else SAME, SAME])
    return f"""  %e{name} = tensor.empty() : {kind}
  %{name} = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel"]}}
      ins({", ".join(operands)} : {given}) outs(%e{name} : {kind}) {{
  ^bb0({", ".join(f"%{letter}: f32" for letter in "kl"[:count])}, %o: f32):
    {body}
    linalg.yield %new : f32
  }} -> {kind}
"""


def multiplied(name: str, left: str, right: str) -> str:
    kind = "tensor<128x128xf32>"
    return f"""  %e{name} = tensor.empty() : {kind}
  %z{name} = linalg.fill ins(%zero : f32) outs(%e{name} : {kind}) -> {kind}
  %{name} = linalg.matmul ins({left}, {right} : {kind}, {kind}) outs(%z{name} : {kind}) -> {kind}
"""


def summed(name: str, operand: str) -> str:
    kind = "tensor<128xf32>"
    return f"""  %e{name} = tensor.empty() : {kind}
  %z{name} = linalg.fill ins(%zero : f32) outs(%e{name} : {kind}) -> {kind}
  %{name} = linalg.generic {{indexing_maps = [{SAME}, {ROWS}], iterator_types = ["parallel", "reduction"]}}
      ins({operand} : tensor<128x128xf32>) outs(%z{name} : {kind}) {{
  ^bb0(%k: f32, %o: f32):
    %new = arith.addf %k, %o : f32
    linalg.yield %new : f32
  }} -> {kind}
"""


def kernels(body: str, result: str, kind: str = "tensor<128x128xf32>") -> int:
    """How many different kernels `spread` makes of a function of three matrices and a row."""
    matrices = ", ".join(f"%{name}: tensor<128x128xf32>" for name in "xyw")
    text = f"""func.func @main({matrices}, %v: tensor<128xf32>) -> {kind} {{
  %zero = arith.constant 0.0 : f32
{body}  return {result} : {kind}
}}
"""
    from mtia.dialects import mlir

    with mlir.using(pipeline.context()):
        module = pipeline.parse(text)
        mlir.run_passes(module, "builtin.module(canonicalize,func.func(linalg-generalize-named-ops),canonicalize,cse)")
        pipeline.run_pass("spread", module, Options(target="mtia300"))
        return str(module).count("func.func @")


ROW = ("tensor<128x128xf32>", "tensor<128xf32>")


def test_neighbours_of_a_product() -> None:
    with_row = statement("b", "add", "%p", "%v", map_=COLUMNS, kinds=ROW)
    assert kernels(multiplied("p", "%x", "%y") + with_row + statement("r", "exp", "%b"), "%r") == 1
    twice = multiplied("p", "%x", "%y") + statement("b", "exp", "%p") + statement("r", "add", "%b", "%p")
    assert kernels(twice, "%r") == 1
    # A product that other kernels read is kept.
    kept = multiplied("p", "%x", "%y") + summed("s", "%p") + statement("r", "add", "%p", "%s", map_=ROWS, kinds=ROW)
    assert kernels(kept, "%r") == 3
    # The matrix engine's factors come from memory, so what computes one is a kernel.
    assert kernels(statement("t", "twice", "%x") + multiplied("p", "%t", "%y"), "%p") == 2
    # One kernel serves two products of one shape.
    assert kernels(multiplied("p", "%x", "%y") + multiplied("q", "%p", "%w"), "%q") == 1


def test_neighbours_of_a_sum() -> None:
    one = "tensor<128xf32>"
    assert kernels(statement("t", "exp", "%x") + summed("s", "%t"), "%s", one) == 1
    # What two read is computed once.
    both = statement("t", "exp", "%x") + summed("s", "%t") + statement("r", "add", "%t", "%s", map_=ROWS, kinds=ROW)
    assert kernels(both, "%r") == 3


def test_chains() -> None:
    chain = statement("t", "exp", "%x") + statement("u", "twice", "%t") + statement("r", "add", "%u", "%y")
    assert kernels(chain, "%r") == 1
