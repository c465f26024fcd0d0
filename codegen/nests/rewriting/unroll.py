"""Write out short dims of constant extent, such as the coordinates of a point.

`sum over c < 3 of f(c)` becomes `f(0) + f(1) + f(2)`, a nest over `c < 3` its body three times, and
a temporary `t[i, c]` three temporaries, which may then become scalars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import product

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Expression,
    Load,
    Nest,
    Op,
    Position,
    Program,
    Range,
    Reduce,
    Reduction,
    Statement,
    Store,
)
from outpace.codegen.nests.rewriting.fuse import temporaries

Body = tuple[Statement, ...]
LONGEST = 4
"""Extents up to this are written out."""
MOST = 16
"""Copies of a body at most."""
_COMBINE = {
    Reduction.SUM: Op.ADD,
    Reduction.PROD: Op.MULTIPLY,
    Reduction.MAX: Op.MAXIMUM,
    Reduction.MIN: Op.MINIMUM,
    Reduction.ANY: Op.LOGICAL_OR,
    Reduction.ALL: Op.LOGICAL_AND,
}


def unrolled(program: Program) -> Program:
    """The program without short constant dims in reductions, nests and temporaries."""
    body = walk.with_expressions(program.body, _written_out)
    body = tuple(_statement(s) for s in body)
    return _parted(replace(program, body=body))


def _is_short(r: Range) -> bool:
    return not r.extent.terms and 1 <= r.extent.constant <= LONGEST


def _written_out(e: Expression) -> Expression:
    """A reduction over short ranges as its terms, in their order."""
    if not isinstance(e, Reduce) or not all(_is_short(r) for r in e.ranges) or not e.ranges:
        return e
    terms = [
        _at(e.body, {r.name: k for r, k in zip(e.ranges, at, strict=True)})
        for at in product(*(range(r.extent.constant) for r in e.ranges))
    ]
    if len(terms) > MOST:
        return e
    return reduce(lambda a, b: Apply(_COMBINE[e.kind], (a, b), e.dtype), terms)


def _at(e: Expression, values: Mapping[str, int]) -> Expression:
    places = {name: affine.constant(k) for name, k in values.items()}

    def change(part: Expression) -> Expression:
        if isinstance(part, Position):
            return Position(affine.substituted(part.value, places))
        return part

    return walk.rewritten(e, change)


def _statement(s: Statement) -> Statement:
    """A statement with short ranges of its nests written out; one range at least stays."""
    if not isinstance(s, Nest) or not all(isinstance(part, Store) for part in s.body):
        return walk.with_blocks(s, lambda body: tuple(_statement(part) for part in body))
    short = [r for r in s.ranges if _is_short(r)]
    long = tuple(r for r in s.ranges if r not in short)
    copies = list(product(*(range(r.extent.constant) for r in short)))
    if not short or not long or len(copies) * len(s.body) > MOST:
        return s
    body: list[Statement] = []
    for part in s.body:
        for at in copies:
            values = {r.name: k for r, k in zip(short, at, strict=True)}
            assert isinstance(part, Store)
            indices = tuple(_at(i, values) for i in part.indices)
            body.append(Store(part.array, indices, _at(part.value, values)))
    return Nest(long, tuple(body))


# --- Temporaries --------------------------------------------------------------------------------


def _parted(program: Program) -> Program:
    """The program with temporaries by the constant indices of their short axes."""
    made = temporaries(program.body)
    arrays = [s.array for s in walk.statements(program.body) if isinstance(s, Allocate)]
    axes = {a.name: _constant_axes(program, a) for a in arrays if a.name in made}
    parts = _Parts({name: own for name, own in axes.items() if own}, walk.names_of(program))
    body = walk.with_expressions(program.body, parts.load)
    return replace(program, body=tuple(p for s in body for p in parts.statement(s)))


@dataclass
class _Parts:
    """Arrays that take the place of another one, one for each constant index.

    Attributes:
        axes: The axes of each array that disappear.
        taken: Names that are in use.
    """

    axes: dict[str, tuple[int, ...]]
    taken: set[str]
    _names: dict[tuple[str, tuple[int, ...]], str] = field(default_factory=dict)

    def load(self, e: Expression) -> Expression:
        """An expression with the part in place of the whole."""
        if isinstance(e, Load) and e.array in self.axes:
            return Load(*self._split(e.array, e.indices), e.dtype)
        return e

    def statement(self, s: Statement) -> Body:
        """A statement whose expressions have been changed already, as one or several."""
        if isinstance(s, Store) and s.array in self.axes:
            return (Store(*self._split(s.array, s.indices), s.value),)
        if isinstance(s, Allocate) and s.array.name in self.axes:
            own = self.axes[s.array.name]
            shape = tuple(n for k, n in enumerate(s.array.shape) if k not in own)
            places = product(*(range(s.array.shape[k].constant) for k in own))
            names = [self._name(s.array.name, at) for at in places]
            return tuple(Allocate(Array(name, s.array.dtype, shape)) for name in names)
        changed = walk.with_blocks(
            s, lambda body: tuple(part for inner in body for part in self.statement(inner))
        )
        return (changed,)

    def _split(
        self, array: str, indices: tuple[Expression, ...]
    ) -> tuple[str, tuple[Expression, ...]]:
        own = self.axes[array]
        at = tuple(_constant(indices[k]) for k in own)
        return self._name(array, at), tuple(i for k, i in enumerate(indices) if k not in own)

    def _name(self, array: str, at: tuple[int, ...]) -> str:
        if (array, at) not in self._names:
            name = f"{array}_{'_'.join(map(str, at))}"
            while name in self.taken:
                name += "_"
            self.taken.add(name)
            self._names[array, at] = name
        return self._names[array, at]


def _constant_axes(program: Program, array: Array) -> tuple[int, ...]:
    """Short axes of a temporary at which every index is a constant; one axis at least stays."""
    touched = walk.accesses(program.body)
    own = [e.indices for e in touched if e.array == array.name]
    found = tuple(
        k
        for k, extent in enumerate(array.shape)
        if not extent.terms
        and 1 <= extent.constant <= LONGEST
        and all(_is_constant(indices[k]) for indices in own)
    )
    return found if own and len(found) < len(array.shape) else ()


def _is_constant(e: Expression) -> bool:
    return isinstance(e, Position) and not e.value.terms


def _constant(e: Expression) -> int:
    assert isinstance(e, Position)
    return e.value.constant
