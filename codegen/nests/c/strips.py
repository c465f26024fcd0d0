"""A nest of loops in C by strips of lanes; see `rewriting.strips`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from outpace.codegen.c_signature import C_TYPES
from outpace.codegen.nests.ir import Array, Loop, Range, Statement
from outpace.codegen.nests.rewriting.strips import LANE, Strip, straight_parts

NAMES = frozenset({LANE, "lanes", "first_lane"})
"""Variables of the text below."""
_TAB = "    "


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
                lines += _for_lanes(strip.lanes, count, body(part))
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


def with_arrays(
    arrays: Sequence[Array], count: Callable[[Array], str], lines: list[str]
) -> list[str]:
    """The lines with arrays that are made before and freed after them.

    Args:
        arrays: Of one thread.
        count: Writes how many elements one has.
        lines: What uses them.
    """
    made = [
        f"{C_TYPES[a.dtype]} *restrict {a.name} = scratch({count(a)}, sizeof({C_TYPES[a.dtype]}));"
        for a in arrays
    ]
    freed = [f"free({a.name});" for a in arrays]
    return ["{", *(_TAB + line for line in (*made, *lines, *freed)), "}"]


def _for_lanes(lanes: Range, count: str, body: list[str]) -> list[str]:
    return [
        "#pragma omp simd",
        f"for (int64_t {LANE} = 0; {LANE} < {count}; {LANE}++) {{",
        f"{_TAB}const int64_t {lanes.name} = first_lane + {LANE};",
        *body,
        "}",
    ]
