"""Which thread does which iteration of a nest, and how many blocks of threads there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.cuda.parameters import BLOCK, BLOCK_X, BLOCK_Y, ITEMS, ROW, VECTOR
from outpace.codegen.nests.cuda.threads import nested, range_head
from outpace.codegen.nests.ir import Range

Host = Callable[[Affine], str]
"""Writes an integer for the launch plan."""
FIRST = "first"
"""The index of the first element of a vector."""
_MOST_X = 2147483647
_MOST_YZ = 65535


@dataclass(frozen=True)
class Grid:
    """A launch, and the loops over the iterations that fall to a thread.

    Attributes:
        heads: Of loops, outermost first; right for every size of the grid.
        inside: What the outermost of them finds in its index.
        grid: Blocks, as expressions of the launch plan.
        block: Threads of a block, likewise.
        threads: Threads of a block, in the source.
        choices: Macros that are used.
        shared: Bytes of dynamic shared memory, as an expression of the launch plan.
    """

    heads: tuple[str, ...]
    inside: tuple[str, ...]
    grid: tuple[str, ...]
    block: tuple[str, ...]
    threads: str
    choices: frozenset[str]
    shared: str = "0"

    def around(self, body: list[str]) -> list[str]:
        """A body inside the loops."""
        if not self.heads:
            return body
        return nested([self.heads[0]], [*self.inside, *nested(list(self.heads[1:]), body)])


def points(ranges: Sequence[Range], host: Host, *, in_vectors: bool = False) -> Grid:
    """A thread for one iteration or a few; neighbours along the last range are together.

    Ranges whose length depends on the index of another one are done by each thread itself.

    Args:
        ranges: Of the nest.
        host: Writes an integer for the launch plan.
        in_vectors: The index of the last range is `FIRST`, and goes on by whole vectors.
    """
    shared, own = _shared(ranges)
    own_heads = [range_head(r) for r in own]
    width = f" * {VECTOR}" if in_vectors else ""
    also = {VECTOR} if in_vectors else set()
    *outer, x = shared
    if not outer:
        head = "#pragma unroll ITEMS\n" + _strided(x, "x", BLOCK, width)
        blocks = _blocks(host(x.extent), f"{BLOCK} * {ITEMS}{width}", _MOST_X)
        macros = frozenset({BLOCK, ITEMS} | also)
        return Grid((head, *own_heads), (), (blocks,), (BLOCK,), BLOCK, macros)
    *outer, y = outer
    found, inside, count = _outer(outer, "z", _MOST_YZ, host)
    heads = (
        *found,
        "#pragma unroll ITEMS\n" + _strided(y, "y", BLOCK_Y),
        _strided(x, "x", BLOCK_X, width),
        *own_heads,
    )
    grid = (
        _blocks(host(x.extent), f"{BLOCK_X}{width}", _MOST_X),
        _blocks(host(y.extent), f"{BLOCK_Y} * {ITEMS}", _MOST_YZ),
        *count,
    )
    macros = frozenset({BLOCK_X, BLOCK_Y, ITEMS} | also)
    return Grid(heads, inside, grid, (BLOCK_X, BLOCK_Y), f"{BLOCK_X} * {BLOCK_Y}", macros)


def rows(ranges: Sequence[Range], host: Host) -> Grid | None:
    """A block for each iteration; None where one range depends on another."""
    shared, own = _shared(ranges)
    if own:
        return None
    if not shared:
        return Grid((), (), ("1",), (ROW,), ROW, frozenset({ROW}))
    *outer, x = shared
    found, inside, count = _outer(outer, "y", _MOST_YZ, host)
    head = range_head(x, "blockIdx.x", "gridDim.x")
    grid = (f"max(0, min({host(x.extent)}, {_MOST_X}))", *count)
    return Grid((*found, head), inside, grid, (ROW,), ROW, frozenset({ROW}))


def blocks_of(outer: Sequence[Range], inner: Sequence[tuple[Range, str]], host: Host) -> Grid:
    """A grid whose blocks have a part of the inner ranges each; its loops are those around them.

    Args:
        outer: Ranges of which a block does one iteration at a time.
        inner: Ranges with the length of a block's part, x first.
        host: Writes an integer for the launch plan.
    """
    found, inside, count = _outer(outer, "z", _MOST_YZ, host)
    grid = tuple(
        _blocks(host(r.extent), width, most)
        for (r, width), most in zip(inner, (_MOST_X, _MOST_YZ), strict=False)
    )
    return Grid(found, inside, (*grid, *count), (), "", frozenset())


def _shared(ranges: Sequence[Range]) -> tuple[list[Range], list[Range]]:
    """Ranges that threads share, and those that depend on others."""
    names = {r.name for r in ranges}
    own = [r for r in ranges if names & set(r.extent.names)]
    return [r for r in ranges if r not in own], own


def _strided(r: Range, axis: str, block: str, width: str = "") -> str:
    first = f"(int64_t)blockIdx.{axis} * {block} + threadIdx.{axis}"
    if width:
        r, first = replace(r, name=FIRST), f"({first}){width}"
    return range_head(r, first, f"(int64_t)gridDim.{axis} * {block}{width}")


def _blocks(extent: str, items: str, most: int) -> str:
    return f"max(0, min(ceildiv({extent}, {items}), {most}))"


def _outer(
    ranges: Sequence[Range], axis: str, most: int, host: Host
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The loop over the outer ranges together, their indices in it, and how many blocks."""
    if not ranges:
        return (), (), ()
    counts = " * ".join(f"max(0, {host(r.extent)})" for r in ranges)
    blocks = (f"min({counts}, {most})",)
    if len(ranges) == 1:
        return (range_head(ranges[0], f"blockIdx.{axis}", f"gridDim.{axis}"),), (), blocks
    extents = [_clamped(r.extent) for r in ranges]
    head = f"for (int64_t outer = blockIdx.{axis}; outer < {' * '.join(extents)}; "
    lines = []
    for place, r in enumerate(ranges):
        inner = " * ".join(extents[place + 1 :])
        index = "outer" if not inner else f"outer / ({inner})"
        index = index if place == 0 else f"{index} % {extents[place]}"
        lines.append(f"const int64_t {r.name} = {index};")
    return (f"{head}outer += gridDim.{axis})",), tuple(lines), blocks


def _clamped(n: Affine) -> str:
    """An extent; one that may be negative stands for 0."""
    text = affine.text(n).replace("*", " * ")
    return text if text.isidentifier() or text.isdigit() else f"({text} > 0 ? {text} : 0)"
