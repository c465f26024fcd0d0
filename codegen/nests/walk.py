"""Reading and rewriting programs: every pass is a few lines on top of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Assign,
    Cast,
    Constant,
    Define,
    Expression,
    If,
    Library,
    Load,
    Loop,
    Nest,
    Position,
    Program,
    Reduce,
    Reshape,
    Statement,
    Store,
    Variable,
    While,
)

Rewrite = Callable[[Expression], Expression]
Body = tuple[Statement, ...]


def expressions(e: Expression) -> Iterator[Expression]:
    """The expression and all in it, outermost first."""
    yield e
    for part in _parts(e):
        yield from expressions(part)


def _parts(e: Expression) -> tuple[Expression, ...]:
    match e:
        case Load(indices=indices):
            return indices
        case Apply(operands=operands):
            return operands
        case Cast(operand=operand):
            return (operand,)
        case Reduce(body=body):
            return (body,)
        case _:
            return ()


def rewritten(e: Expression, change: Rewrite) -> Expression:
    """The expression with `change` applied to every part, innermost first."""
    match e:
        case Load(indices=indices):
            e = replace(e, indices=tuple(rewritten(i, change) for i in indices))
        case Apply(operands=operands):
            e = replace(e, operands=tuple(rewritten(o, change) for o in operands))
        case Cast(operand=operand):
            e = replace(e, operand=rewritten(operand, change))
        case Reduce(body=body):
            e = replace(e, body=rewritten(body, change))
        case _:
            pass
    return change(e)


def substituting(values: Mapping[str, Affine]) -> Rewrite:
    """A change of one part, names in affine parts, range extents included, replaced.

    It is for `rewritten` and `with_expressions`, which change every part once, so that names may
    be exchanged for each other.
    """

    def change(part: Expression) -> Expression:
        if isinstance(part, Position):
            return Position(affine.substituted(part.value, values))
        if isinstance(part, Reduce):
            ranges = tuple(
                replace(r, extent=affine.substituted(r.extent, values)) for r in part.ranges
            )
            return replace(part, ranges=ranges)
        return part

    return change


def shifted(e: Expression, values: Mapping[str, Affine]) -> Expression:
    """The expression with names in its affine parts, range extents included, replaced."""
    return rewritten(e, substituting(values))


def statements(body: Iterable[Statement]) -> Iterator[Statement]:
    """All statements, blocks before what they hold."""
    for statement in body:
        yield statement
        for block in blocks(statement):
            yield from statements(block)


def blocks(s: Statement) -> tuple[Body, ...]:
    """The blocks of a statement."""
    match s:
        case Nest(body=body) | Loop(body=body) | While(body=body):
            return (body,)
        case If(body=body, orelse=orelse):
            return (body, orelse)
        case _:
            return ()


def with_blocks(s: Statement, change: Callable[[Body], Body]) -> Statement:
    """The statement with its blocks replaced."""
    match s:
        case Nest(body=body) | Loop(body=body) | While(body=body):
            return replace(s, body=change(body))
        case If(body=body, orelse=orelse):
            return replace(s, body=change(body), orelse=change(orelse))
        case _:
            return s


def own_expressions(s: Statement) -> tuple[Expression, ...]:
    """Expressions of a statement itself, not of its blocks; indices of a store come first."""
    match s:
        case Store(indices=indices, value=value):
            return (*indices, value)
        case Assign(value=value) | Define(value=value):
            return (value,)
        case If(condition=condition) | While(condition=condition):
            return (condition,)
        case Loop(start=start, stop=stop, step=step):
            return (start, stop, step)
        case _:
            return ()


def with_expressions(body: Body, change: Rewrite) -> Body:
    """A block with `change` applied to every expression in it."""

    def one(s: Statement) -> Statement:
        match s:
            case Store(indices=indices, value=value):
                s = replace(
                    s,
                    indices=tuple(rewritten(i, change) for i in indices),
                    value=rewritten(value, change),
                )
            case Assign(value=value) | Define(value=value):
                s = replace(s, value=rewritten(value, change))
            case If(condition=condition) | While(condition=condition):
                s = replace(s, condition=rewritten(condition, change))
            case Loop(start=start, stop=stop, step=step):
                bounds = [rewritten(e, change) for e in (start, stop, step)]
                s = replace(s, start=bounds[0], stop=bounds[1], step=bounds[2])
            case _:
                pass
        return with_blocks(s, lambda inner: with_expressions(inner, change))

    return tuple(one(s) for s in body)


def loads(body: Iterable[Statement]) -> Iterator[Load]:
    """Every load in a block."""
    for statement in statements(body):
        for own in own_expressions(statement):
            yield from (e for e in expressions(own) if isinstance(e, Load))


def stores(body: Iterable[Statement]) -> Iterator[Store]:
    """Every store in a block."""
    yield from (s for s in statements(body) if isinstance(s, Store))


def accesses(body: Sequence[Statement]) -> list[Load | Store]:
    """Every load, then every store, inside those of others too."""
    return [*loads(body), *stores(body)]


def library_arrays(body: Iterable[Statement]) -> set[str]:
    """Arrays that library calls read or write, which no load or store shows."""
    calls = [s for s in statements(body) if isinstance(s, Library)]
    return {s.target for s in calls} | {o.array for s in calls for o in s.operands}


def indices(body: Iterable[Statement]) -> set[str]:
    """Names of the indices of nests and reductions in statements, nested ones included."""
    names: set[str] = set()
    for s in statements(body):
        if isinstance(s, Nest):
            names |= {r.name for r in s.ranges}
        for own in own_expressions(s):
            for e in expressions(own):
                if isinstance(e, Reduce):
                    names |= {r.name for r in e.ranges}
    return names


def scalars_read(body: Iterable[Statement]) -> set[str]:
    """Scalar variables and names in affine expressions that a block reads."""
    names: set[str] = set()
    for statement in statements(body):
        if isinstance(statement, Nest):
            names.update(n for r in statement.ranges for n in r.extent.names)
        for own in own_expressions(statement):
            names |= names_in(own)
    return names


def names_in(e: Expression) -> set[str]:
    """Scalar variables and names in affine expressions."""
    names: set[str] = set()
    for part in expressions(e):
        if isinstance(part, Variable):
            names.add(part.name)
        elif isinstance(part, Position):
            names.update(part.value.names)
        elif isinstance(part, Reduce):
            names.update(n for r in part.ranges for n in r.extent.names)
    return names


def scalars_written(body: Iterable[Statement]) -> set[str]:
    """Scalar variables that a block assigns or defines."""
    return {s.name for s in statements(body) if isinstance(s, Assign | Define | Loop)}


def names_of(program: Program) -> set[str]:
    """Every name that a program gives to something."""
    names = {p.name for p in program.parameters} | {s.name for s in program.sizes}
    for s in statements(program.body):
        if isinstance(s, Assign | Define | Loop):
            names.add(s.name)
        elif isinstance(s, Allocate | Reshape):
            names.add(s.array.name)
        elif isinstance(s, Nest):
            names.update(r.name for r in s.ranges)
        for own in own_expressions(s):
            for e in expressions(own):
                if isinstance(e, Reduce):
                    names.update(r.name for r in e.ranges)
    return names


def unused_prefix(program: Program, prefix: str) -> str:
    """The prefix, or a longer one, with which no name of the program begins."""
    names = names_of(program)
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    return prefix


def worth_threads(body: Iterable[Statement]) -> int:
    """How many ranges a nest must have for threads to pay: the deepest nests have that many."""
    depths = [depth(s) for s in statements(body) if isinstance(s, Nest)]
    return min(max(depths, default=1), 2)


def depth(nest: Nest) -> int:
    """Ranges of a nest and of the deepest nest or reduction inside it."""
    inner = [0]
    for s in statements(nest.body):
        if isinstance(s, Nest):
            inner.append(depth(s))
        inner += [
            len(e.ranges)
            for own in own_expressions(s)
            for e in expressions(own)
            if isinstance(e, Reduce)
        ]
    return len(nest.ranges) + max(inner)


def affine_of(e: Expression) -> Affine | None:
    """An integer expression, where it is affine in sizes and loop variables."""
    match e:
        case Position(value=value):
            return value
        case Constant(value=int(value)):
            return affine.constant(value)
        case _:
            return None
