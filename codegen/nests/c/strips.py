"""A nest of loops in C by strips of lanes; see `rewriting.strips`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from outpace.codegen.c_signature import C_TYPES
from outpace.codegen.nests.c.parameters import LONG_STRIP, REGISTER_STRIP, SHORT_STRIP, STRIP
from outpace.codegen.nests.ir import Array, Loop, Statement
from outpace.codegen.nests.rewriting.strips import LANE, Lanes, Strip, straight_parts

NAMES = frozenset({LANE, "lanes", "first_lane"})
"""Variables of the text below."""
WIDTHS = {
    Lanes.APART: STRIP,
    Lanes.ALONG: SHORT_STRIP,
    Lanes.TOGETHER: LONG_STRIP,
    Lanes.NOWHERE: REGISTER_STRIP,
}
"""Macros for the number of lanes."""
_TAB = "    "
_LINE = 64
"""Bytes of a cache line."""


def strip_lines(
    strip: Strip,
    width: str,
    extent: str,
    body: Callable[[tuple[Statement, ...]], list[str]],
    head: Callable[[Loop], str],
) -> list[str]:
    """What is inside the outer ranges of the nest: its strips, one after the other.

    Args:
        strip: The nest.
        width: Lanes of a strip.
        extent: How many lanes there are.
        body: Writes a block, indented.
        head: Writes the head of a sequential loop.
    """

    def parts(block: tuple[Statement, ...], count: str) -> list[str]:
        lines: list[str] = []
        for part in straight_parts(block):
            if isinstance(part, Loop):
                inner = [_TAB + line for line in parts(part.body, count)]
                lines += [f"{head(part)} {{", *inner, "}"]
            else:
                lines += _for_lanes(strip, count, body(part))
        return lines

    carried = [f"{C_TYPES[a.dtype]} {a.name}[{width}];" for a in strip.carried]
    rest = f"{extent} - first_lane"
    return [
        f"for (int64_t first_lane = 0; first_lane < {extent}; first_lane += {width}) {{",
        f"{_TAB}const int64_t lanes = {rest} < {width} ? {rest} : {width};",
        *(_TAB + line for line in carried),
        f"{_TAB}if (lanes == {width}) {{",  # constant extents make better code
        *(_TAB * 2 + line for line in parts(strip.body, width)),
        f"{_TAB}}} else {{",
        *(_TAB * 2 + line for line in parts(strip.body, "lanes")),
        f"{_TAB}}}",
        "}",
    ]


def with_arrays(strip: Strip, count: Callable[[Array], str], lines: list[str]) -> list[str]:
    """The lines with the arrays of one thread, made before and freed after them.

    Args:
        strip: The nest.
        count: Writes how many elements an array has.
        lines: What uses them.
    """
    pitches = [
        f"const int64_t {name} = {_pitch(count(a), a.dtype)};" for name, a in strip.pitches.items()
    ]
    made = [
        f"{C_TYPES[a.dtype]} *restrict {a.name} = scratch({count(a)}, sizeof({C_TYPES[a.dtype]}));"
        for a in strip.arrays
    ]
    freed = [f"free({a.name});" for a in strip.arrays]
    return ["{", *(_TAB + line for line in (*pitches, *made, *lines, *freed)), "}"]


def _pitch(extent: str, dtype: str) -> str:
    """An odd number of cache lines: even ones may put all lanes in the same few sets."""
    line = _LINE // np.dtype(dtype).itemsize
    return f"(({extent} + {line - 1}) / {line} | 1) * {line}"


def _for_lanes(strip: Strip, count: str, body: list[str]) -> list[str]:
    simd = [] if strip.kind is Lanes.ALONG else ["#pragma omp simd"]
    return [
        *simd,
        f"for (int64_t {LANE} = 0; {LANE} < {count}; {LANE}++) {{",
        f"{_TAB}const int64_t {strip.lanes.name} = first_lane + {LANE};",
        *body,
        "}",
    ]
