"""Sum in one loop what a nest would sum in several, and use up at once what only the sums need.

    nest j < n: t[j] = f(j)                    for j < n:
    a = sum[j < n](t[j] * x[j])        ->          t = f(j);  a += t * x[j];  b += t * y[j]
    b = sum[j < n](t[j] * y[j])

The loop is sequential, so it is vectorised only where sums may be reordered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Apply,
    Assign,
    Constant,
    Expression,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Reduce,
    Reduction,
    Statement,
    Store,
    Variable,
)
from outpace.codegen.nests.rewriting.fuse import temporaries, without_unused

Body = tuple[Statement, ...]
_DTYPES = ("float64", "int64")
"""Sums of shorter floats are kept in a longer type, which is not known here."""


def folded(program: Program) -> Program:
    """The program with sums over the same range in one loop, inside nests and loops."""
    return without_unused(_Folding(program).program())


class _Folding:
    """One pass over a program."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._temporaries = temporaries(program.body)
        self._prefix = walk.unused_prefix(program, "total")
        self._count = 0

    def program(self) -> Program:
        """The program after the pass."""
        return replace(self._program, body=tuple(self._visit(s) for s in self._program.body))

    def _visit(self, s: Statement) -> Statement:
        if isinstance(s, Nest | Loop):
            return replace(s, body=self._folded(tuple(self._visit(p) for p in s.body)))
        return walk.with_blocks(s, lambda body: tuple(self._visit(p) for p in body))

    def _folded(self, body: Body) -> Body:
        """The body of a nest with each run of sums in one loop."""
        result: list[Statement] = []
        rest = list(body)
        while rest:
            run = self._run(rest)
            loop = self._one_loop(run, rest[len(run) :]) if run else None
            if loop is None:
                result.append(rest.pop(0))
            else:
                result += loop
                rest = rest[len(run) :]
        return tuple(result)

    def _run(self, body: Sequence[Statement]) -> list[Statement]:
        """Statements at the beginning that may be one loop; none if they are not worth it.

        They are perhaps a nest that fills temporaries, and sums over the same range.
        """
        first = body[0]
        run: list[Statement] = []
        if isinstance(first, Nest) and self._only_fills(first, body[1:]):
            run = [first]
        filled = len(run)
        extent = first.ranges[0].extent if filled and isinstance(first, Nest) else None
        written: set[str] = set()
        for s in body[filled:]:
            total = _sum_of(s)
            if total is None or extent not in (None, total.ranges[0].extent):
                break
            changed = walk.scalars_written(run[filled:]) & walk.names_in(total)
            if changed or written & {e.array for e in walk.loads([s])}:
                break
            extent = total.ranges[0].extent
            written |= {part.array for part in walk.stores([s])}
            run.append(s)
        return run if len(run) > 1 else []

    def _only_fills(self, nest: Nest, rest: Sequence[Statement]) -> bool:
        """Whether a nest over one range makes temporaries that only what follows here loads."""
        arrays = {s.array for s in walk.stores([nest])}
        everywhere = [e for e in walk.loads(self._program.body) if e.array in arrays]
        inside = [e for e in walk.loads([nest, *rest]) if e.array in arrays]
        return (
            len(nest.ranges) == 1
            and all(isinstance(s, Store) for s in nest.body)
            and not any(_has_sum(e) for s in nest.body for e in walk.own_expressions(s))
            and arrays <= self._temporaries
            and len(everywhere) == len(inside)
        )

    def _one_loop(self, run: Sequence[Statement], later: Sequence[Statement]) -> Body | None:
        """The run as one loop with what uses its sums, if nothing else is left to be loaded.

        Args:
            run: As `_run` finds it.
            later: What follows in the block, which may load a temporary as well.
        """
        at = f"{self._prefix}_at{self._count}"
        values: dict[tuple[str, tuple[Expression, ...]], Variable] = {}
        before: list[Statement] = []
        body: list[Statement] = []
        after: list[Statement] = []
        for s in run:
            if isinstance(s, Nest):
                body += _scalars(s, at, values)
                extent = s.ranges[0].extent
                continue
            total = _sum_of(s)
            assert total is not None
            extent = total.ranges[0].extent
            scalar = Variable(f"{self._prefix}{self._count}", total.dtype)
            self._count += 1
            term = _with_values(_moved(total.body, total.ranges[0].name, at), values)
            before.append(Assign(scalar.name, _zero(total.dtype)))
            body.append(Assign(scalar.name, Apply(Op.ADD, (scalar, term), total.dtype)))
            after += walk.with_expressions((s,), _using(total, scalar))
        self._count += 1
        made = {array for array, _ in values}
        if made & {e.array for e in walk.loads([*body, *after, *later])}:
            return None
        zero, one = Constant(0, "int64"), Constant(1, "int64")
        return (*before, Loop(at, zero, Position(extent), one, tuple(body)), *after)


def _scalars(
    nest: Nest, at: str, values: dict[tuple[str, tuple[Expression, ...]], Variable]
) -> list[Statement]:
    """The stores of a nest as scalars of an iteration, which are entered in `values`."""
    name = nest.ranges[0].name
    result: list[Statement] = []
    for s in nest.body:
        assert isinstance(s, Store)
        value = _with_values(_moved(s.value, name, at), values)
        values[s.array, tuple(_moved(i, name, at) for i in s.indices)] = Variable(
            s.array, value.dtype
        )
        result.append(Assign(s.array, value))
    return result


def _moved(e: Expression, name: str, at: str) -> Expression:
    return walk.shifted(e, {name: affine.symbol(at)})


def _with_values(
    e: Expression, values: Mapping[tuple[str, tuple[Expression, ...]], Variable]
) -> Expression:
    def change(part: Expression) -> Expression:
        if isinstance(part, Load):
            return values.get((part.array, part.indices), part)
        return part

    return walk.rewritten(e, change)


def _using(total: Reduce, scalar: Variable) -> walk.Rewrite:
    return lambda e: scalar if e == total else e


def _sum_of(s: Statement) -> Reduce | None:
    """The only reduction of a statement, if it is a sum that one loop can hold."""
    if not isinstance(s, Store | Assign):
        return None
    found = [
        e for own in walk.own_expressions(s) for e in walk.expressions(own) if isinstance(e, Reduce)
    ]
    if len(found) != 1 or found[0].kind is not Reduction.SUM or found[0].dtype not in _DTYPES:
        return None
    return found[0] if len(found[0].ranges) == 1 else None


def _zero(dtype: str) -> Constant:
    return Constant(0 if dtype == "int64" else 0.0, dtype)


def _has_sum(e: Expression) -> bool:
    return any(isinstance(part, Reduce) for part in walk.expressions(e))
