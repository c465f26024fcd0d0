"""Elementwise nests with several neighbouring elements at a time in each thread.

An element that is read or written at the place of the last index itself is a lane of a vector.
Where memory is not aligned for vectors, as where rows are no multiples of them, and at the end of a
row, a thread takes its elements one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.c.scopes import assigned_in
from outpace.codegen.nests.cuda.certain import certain_loads
from outpace.codegen.nests.cuda.functions import CUDA_TYPES
from outpace.codegen.nests.cuda.grids import FIRST
from outpace.codegen.nests.cuda.parameters import VECTOR
from outpace.codegen.nests.cuda.threads import Thread, indented, nested, range_head
from outpace.codegen.nests.ir import (
    Array,
    Assign,
    Expression,
    Load,
    Nest,
    Position,
    Range,
    Reduce,
    Statement,
    Store,
)

NAMES = frozenset({FIRST, "lane", "is_aligned", "Vector"})
"""Names in the text below."""
STRUCTURE = f"""\
template <typename T> struct alignas(sizeof(T) * {VECTOR}) Vector {{
    T of[{VECTOR}];
    __device__ T &operator[](int lane) {{ return of[lane]; }}
}};"""
_SHORT = 16
"""Constant extents from which vectors are worth a thought."""
_LANE = Position(affine.symbol("lane"))
Cell = tuple[str, tuple[Expression, ...]]
"""An element: its array and its indices."""


@dataclass(frozen=True)
class Lanes:
    """A nest whose threads take vectors.

    Attributes:
        nest: The nest.
        loaded: Elements that are read.
        stored: Elements that are written.
    """

    nest: Nest
    loaded: tuple[Cell, ...]
    stored: tuple[Cell, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every element, once."""
        return tuple(dict.fromkeys((*self.loaded, *self.stored)))


def lanes_of(nest: Nest, arrays: Mapping[str, Array], aliases: Mapping[str, str]) -> Lanes | None:
    """The elements that vectors may hold; None if some depend on the last index in another way.

    Args:
        nest: The nest.
        arrays: By name.
        aliases: Arrays that are other names of the memory of another one.
    """
    if (
        not all(isinstance(s, Store | Assign) for s in nest.body)
        or not _is_long(nest.ranges)
        or _reads_back(nest.body)
    ):
        return None
    last, own = nest.ranges[-1], set(assigned_in(nest.body))
    values = [e for s in nest.body for e in walk.own_expressions(s)]
    loads = list(walk.loads(nest.body))
    certain = certain_loads(values, nest.ranges, arrays)
    lanes = {e for e in loads if _is_lane(e.indices, last, own)}
    loaded = [(e.array, e.indices) for e in loads if e in lanes & certain]
    stored = [(s.array, s.indices) for s in walk.stores(nest.body)]
    # The places of all others must be the same for all lanes.
    others = [e for e in loads if e not in lanes]
    if (
        any(isinstance(e, Reduce) for value in values for e in walk.expressions(value))
        or any((own | {last.name}) & walk.names_in(e) for e in others)
        or not all(_is_lane(indices, last, own) for _, indices in stored)
    ):
        return None
    used = [(e.array, e.indices) for e in loads]
    names = {r.name for r in nest.ranges}
    for array, indices in stored:
        for other, places in (*used, *stored):
            same = aliases.get(array, array) == aliases.get(other, other)
            if (
                same
                and (array, indices) != (other, places)
                and (array != other or not dependence.never_meet(indices, places, names, None))
            ):
                return None
    return Lanes(nest, tuple(dict.fromkeys(loaded)), tuple(dict.fromkeys(stored)))


def _is_long(ranges: tuple[Range, ...]) -> bool:
    """Whether rows are long enough, and threads share every range."""
    names = {r.name for r in ranges}
    if not ranges or any(names & set(r.extent.names) for r in ranges):
        return False
    last = ranges[-1].extent
    return bool(last.names) or last.constant >= _SHORT


def _is_lane(indices: tuple[Expression, ...], last: Range, own: set[str]) -> bool:
    """Whether an element is at the place of the last index along the last axis."""
    if not indices or indices[-1] != Position(affine.symbol(last.name)):
        return False
    outer = indices[:-1]
    if not all(isinstance(i, Position) for i in outer):
        return False
    return not any((own | {last.name}) & walk.names_in(i) for i in outer)


def _reads_back(body: tuple[Statement, ...]) -> bool:
    """Whether an array is read after it is written."""
    written: set[str] = set()
    for s in body:
        if written & {load.array for load in walk.loads([s])}:
            return True
        written |= {store.array for store in walk.stores([s])}
    return False


class VectorWriter:
    """Writes the body of such a nest.

    Args:
        lanes: The nest.
        thread: Writes what each thread does by itself.
        arrays: By name; takes the vectors.
        prefix: Begins the names of vectors.
    """

    def __init__(self, lanes: Lanes, thread: Thread, arrays: dict[str, Array], prefix: str) -> None:
        self._lanes = lanes
        self._thread = thread
        self._arrays = arrays
        self._names = {cell: f"{prefix}{k}" for k, cell in enumerate(lanes.cells)}
        for cell, name in self._names.items():
            arrays[name] = Array(name, arrays[cell[0]].dtype, (affine.ONE,))
        thread.expressions.functions.add("!Vector", STRUCTURE)

    def first(self) -> list[str]:
        """What is found out before the loops: whether vectors may be used at all."""
        tests = [f"{VECTOR} > 1"]
        for name in dict.fromkeys(array for array, _ in self._lanes.cells):
            array = self._arrays[name]
            tests.append(f"(uint64_t){name} % sizeof(Vector<{CUDA_TYPES[array.dtype]}>) == 0")
            if len(array.shape) > 1:
                extent = affine.text(array.shape[-1]).replace("*", " * ")
                extent = extent if extent.isidentifier() else f"({extent})"
                tests.append(f"{extent} % {VECTOR} == 0")
        return [f"const bool is_aligned = {' && '.join(dict.fromkeys(tests))};"]

    def body(self) -> list[str]:
        """What a thread does with the elements from `first` on."""
        last = self._lanes.nest.ranges[-1]
        extent = affine.text(last.extent).replace("*", " * ")
        alone = self._thread.scope(self._lanes.nest.body)
        end = f"{last.name} < {FIRST} + {VECTOR} && {last.name} < {extent}"
        return [
            f"if (is_aligned && {FIRST} + {VECTOR} <= {extent}) {{",
            *indented(self._whole(last)),
            "} else {",
            *indented(
                nested([f"for (int64_t {last.name} = {FIRST}; {end}; {last.name}++)"], alone)
            ),
            "}",
        ]

    def _whole(self, last: Range) -> list[str]:
        """All lanes of a vector."""
        loads = [f"{self._vector(c)} {n}{self._value(c)};" for c, n in self._names.items()]
        stores = [f"{self._place(c, '')} = {self._names[c]};" for c in self._lanes.stored]
        inner = tuple(map(self._stored, walk.with_expressions(self._lanes.nest.body, self._loaded)))
        head = range_head(Range("lane", affine.symbol(VECTOR))).replace("int64_t", "int", 1)
        body = [f"const int64_t {last.name} = {FIRST} + lane;", *self._thread.scope(inner)]
        return [*loads, *nested([f"#pragma unroll\n{head}"], body), *stores]

    def _loaded(self, e: Expression) -> Expression:
        name = self._names.get((e.array, e.indices)) if isinstance(e, Load) else None
        return e if name is None else Load(name, (_LANE,), e.dtype)

    def _stored(self, s: Statement) -> Statement:
        if not isinstance(s, Store):
            return s
        return Store(self._names[s.array, s.indices], (_LANE,), s.value)

    def _vector(self, cell: Cell) -> str:
        return f"Vector<{CUDA_TYPES[self._arrays[cell[0]].dtype]}>"

    def _value(self, cell: Cell) -> str:
        return f" = {self._place(cell, 'const ')}" if cell in self._lanes.loaded else ""

    def _place(self, cell: Cell, const: str) -> str:
        array, indices = cell
        place = (*indices[:-1], Position(affine.symbol(FIRST)))
        element = self._thread.expressions.access(array, place)
        return f"*({const}{self._vector(cell)} *)&{element}"
