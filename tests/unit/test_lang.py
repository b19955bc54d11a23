"""The language: what the front end refuses, and that both emitters agree with each other and with numpy."""

from __future__ import annotations

import pytest
from mtia.isa.errors import UserError
from mtia.isa.lang import Array, Ptr, Struct, f32, fn, i64, struct, u8, u32, u64


@struct
class Point(Struct):
    tag: u8
    x: i64
    y: Array[f32, 4]


@fn
def move(p: Ptr[Point], n: i64) -> i64:
    p.x += n
    for k in range(u32(4)):
        p.y[k] = p.y[k] + f32(k) * 0.5
    return p.x


@fn
def mixed(a: u32, b: u64) -> u64:
    return a + b


def test_struct_layout_and_view() -> None:
    assert (Point.size, Point.offset("x"), Point.offset("y")) == (32, 8, 16)
    memory = Point.alloc()
    point = Point.view(memory.addr)
    assert move(memory, 5) == 5 and move(memory, -7) == -2
    assert point.x == -2 and point.y[:] == [0.0, 1.0, 2.0, 3.0]


def test_mixed_types_are_refused_with_the_line() -> None:
    with pytest.raises(UserError, match=r"test_lang.py:\d+:12: error: operands of two types, u32 and u64"):
        mixed(1, 2)
