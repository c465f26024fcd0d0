"""Do several steps of a whole-matrix update at once, where each needs only one row and one column.

    for k in 0, n:
        a[i, j] = f(a[i, j], a[i, k], a[k, j])      for all i, j, from the old a

A step reads the matrix at its own place, and its pivots: row and column k. So the rows of the next
few steps are kept first, each as the steps before it leave it, and then every element goes through
these steps in a register, after the elements that its row has in their columns. Shortest paths,
transitive closures and eliminations without pivoting have this form. Each element is computed by
the same operations in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Assign,
    Constant,
    Define,
    Expression,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Range,
    Reduce,
    Statement,
    Store,
    Variable,
)
from outpace.codegen.nests.rewriting.fuse import temporaries, without_unused

Body = tuple[Statement, ...]
Place = tuple[Affine, Affine]

STEPS = 8
"""Steps that are done at once."""


def pivoted(program: Program) -> Program:
    """The program with such loops at its top level by several steps."""
    body: list[Statement] = []
    for s in program.body:
        found = _update_of(program, s) if isinstance(s, Loop) else None
        if isinstance(s, Loop) and found is not None:
            body += _Steps(found, s, walk.unused_prefix(program, f"pivot{len(body)}_")).statements()
        else:
            body.append(s)
    return without_unused(replace(program, body=tuple(body)))


# --- Finding ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Update:
    """One step of a loop.

    Attributes:
        matrix: What it updates.
        row: The range of its first index.
        column: That of its second index.
        value: What an element becomes.
        start: First step.
        stop: End of the steps.
    """

    matrix: Array
    row: Range
    column: Range
    value: Expression
    start: Affine
    stop: Affine


def _update_of(program: Program, loop: Loop) -> _Update | None:
    """The step of a loop that is `copy = f(a, k); a = copy`, if it reads pivots alone."""
    start, stop = walk.affine_of(loop.start), walk.affine_of(loop.stop)
    if loop.step != Constant(1, "int64") or start is None or stop is None or len(loop.body) != 2:
        return None
    new, back = (_whole(s) for s in loop.body)
    nest = loop.body[0]
    if new is None or back is None or not isinstance(nest, Nest) or len(nest.ranges) != 2:
        return None
    shapes = {
        s.array.name: s.array for s in walk.statements(program.body) if isinstance(s, Allocate)
    }
    shapes |= {p.name: p for p in program.parameters if isinstance(p, Array)}
    copy, matrix = shapes.get(new.array), shapes.get(back.array)
    if copy is None or matrix is None or copy.name not in temporaries(program.body):
        return None
    extents = tuple(r.extent for r in nest.ranges)
    is_copied = isinstance(back.value, Load) and back.value.array == copy.name
    loads = [e for e in walk.loads(program.body) if e.array == copy.name]
    if (
        not is_copied
        or len(loads) != 1
        or loads[0].indices != back.indices
        or {matrix.shape, copy.shape} != {extents}
        or matrix.shape[0] != matrix.shape[1]  # else a pivot might not be there
        or {matrix.dtype, copy.dtype} != {new.value.dtype}
        or not _reads_pivots(new.value, matrix.name, nest, loop.name)
        or _has_other_name(matrix.name, new.value, dependence.aliases(program.body))
    ):
        return None
    row, column = nest.ranges
    return _Update(matrix, row, column, new.value, start, stop)


def _whole(s: Statement) -> Store | None:
    """The store of a nest that sets an array element by element."""
    if not isinstance(s, Nest) or len(s.body) != 1 or not isinstance(s.body[0], Store):
        return None
    here = tuple(Position(affine.symbol(r.name)) for r in s.ranges)
    return s.body[0] if s.body[0].indices == here else None


def _reads_pivots(value: Expression, matrix: str, nest: Nest, step: str) -> bool:
    """Whether a value reads the matrix here and in pivots, and at least one of these."""
    row, column = (Position(affine.symbol(r.name)) for r in nest.ranges)
    pivot = Position(affine.symbol(step))
    loads = [e for e in walk.expressions(value) if isinstance(e, Load) and e.array == matrix]
    places = {e.indices for e in loads}
    known = {(row, column), (row, pivot), (pivot, column), (pivot, pivot)}
    return (
        not any(isinstance(e, Reduce) for e in walk.expressions(value))
        and places <= known
        and bool(places & {(row, pivot), (pivot, column)})
    )


def _has_other_name(matrix: str, value: Expression, aliases: Mapping[str, str]) -> bool:
    """Whether a value reads the memory of the matrix under another name."""
    memory = aliases.get(matrix, matrix)
    read = {e.array for e in walk.expressions(value) if isinstance(e, Load)} - {matrix}
    return memory in {aliases.get(name, name) for name in read}


# --- Rewriting ----------------------------------------------------------------------------------


class _Steps:
    """Writes a loop by several steps."""

    def __init__(self, update: _Update, loop: Loop, prefix: str) -> None:
        self._update = update
        self._loop = loop
        self._prefix = prefix
        self._first = ""  # the step with which a block begins
        self._nests = 0

    def statements(self) -> Body:
        """Arrays for rows of pivots, whole blocks of steps, and what remains."""
        u = self._update
        first, rest = f"{self._prefix}first", f"{self._prefix}rest"
        shape = u.matrix.shape[1:]
        made = [Allocate(Array(self._row(s), u.matrix.dtype, shape)) for s in range(STEPS)]
        end = f"{self._prefix}end"
        stop, many = Position(affine.symbol(end)), Constant(STEPS, "int64")
        return (
            *made,
            Define(end, self._end()),
            Loop(first, self._loop.start, stop, many, self._block(first, STEPS)),
            Loop(rest, stop, self._loop.stop, self._loop.step, self._block(rest, 1)),
        )

    def _block(self, first: str, steps: int) -> Body:
        """So many steps: their rows, and then all elements."""
        self._first = first
        return (*map(self._pivot_row, range(steps)), self._main(steps))

    def _end(self) -> Expression:
        """Where the steps end that make whole blocks."""
        u = self._update
        count = Position(affine.minus(u.stop, u.start))
        blocks = _integers(Op.FLOOR_DIVIDE, count, Constant(STEPS, "int64"))
        some = _integers(Op.MAXIMUM, blocks, Constant(0, "int64"))
        steps = _integers(Op.MULTIPLY, some, Constant(STEPS, "int64"))
        return _integers(Op.ADD, steps, Position(u.start))

    def _pivot_row(self, step: int) -> Nest:
        """Keeps the row of a step, as the steps before it leave it."""
        column = self._index(self._update.column)
        at, here = self._at(step), affine.symbol(column.name)
        body, value = self._after(step, (at, here), self._row(step))
        store = Store(self._row(step), _positions((here,)), value)
        return Nest((column,), (*self._columns(step, at), *body, store))

    def _main(self, steps: int) -> Nest:
        """All steps of a block for every element."""
        u = self._update
        row, column = self._index(u.row), self._index(u.column)
        place = (affine.symbol(row.name), affine.symbol(column.name))
        body, value = self._after(steps, place, u.matrix.name)
        inner = Nest((column,), (*body, Store(u.matrix.name, _positions(place), value)))
        return Nest((row,), (*self._columns(steps, place[0]), inner))

    def _columns(self, steps: int, row: Affine) -> Body:
        """What a row has in the columns of the first steps, each as the steps before it leave it.

        The row is read here before it is written, by whoever writes it: its memory is near.
        """
        body: list[Statement] = []
        for step in range(steps):
            before, value = self._after(step, (row, self._at(step)), self._column(step))
            body += [*before, Assign(self._column(step), value)]
        return tuple(body)

    def _index(self, like: Range) -> Range:
        """A range of its own for a nest."""
        self._nests += 1
        return replace(like, name=f"{self._prefix}at{self._nests}")

    def _after(self, steps: int, place: Place, name: str) -> tuple[Body, Expression]:
        """An element of the matrix, taken through the first steps of a block."""
        u = self._update
        value: Expression = Load(u.matrix.name, _positions(place), u.matrix.dtype)
        body: list[Statement] = []
        for step in range(steps):
            after = f"{self._prefix}{name}_after{step}"
            body.append(Assign(after, value))
            value = self._step(step, place, Variable(after, u.matrix.dtype))
        return tuple(body), value

    def _step(self, step: int, place: Place, last: Expression) -> Expression:
        """The value of a step at some place, from pivots and the value before."""
        u = self._update
        names = (u.row.name, u.column.name, self._loop.name)
        row, column = place
        pivot = self._at(step)
        at = dict(zip(names, (row, column, pivot), strict=True))
        row_here, column_here, pivot_here = (Position(affine.symbol(name)) for name in names)

        def change(e: Expression) -> Expression:
            if not isinstance(e, Load) or e.array != u.matrix.name:
                return e
            if e.indices == (row_here, column_here):
                return last
            if e.indices == (row_here, pivot_here):
                return Variable(self._column(step), e.dtype)
            which = pivot if e.indices == (pivot_here, pivot_here) else column
            return Load(self._row(step), _positions((which,)), e.dtype)

        return walk.shifted(walk.rewritten(u.value, change), at)  # new names are none of the old

    def _at(self, step: int) -> Affine:
        return affine.plus(affine.symbol(self._first), affine.constant(step))

    def _row(self, step: int) -> str:
        return f"{self._prefix}row{step}"

    def _column(self, step: int) -> str:
        return f"{self._prefix}column{step}"


def _positions(place: tuple[Affine, ...]) -> tuple[Expression, ...]:
    return tuple(Position(index) for index in place)


def _integers(op: Op, left: Expression, right: Expression) -> Expression:
    return Apply(op, (left, right), "int64")
