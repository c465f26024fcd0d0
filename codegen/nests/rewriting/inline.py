"""Recompute cheap temporaries where they are read, instead of storing them.

A stencil such as horizontal diffusion makes several temporaries that each reader needs at shifted
points. Computing them again at every reader costs arithmetic and saves memory traffic; compilers
then share what neighbouring readers have in common.
"""

from __future__ import annotations

from dataclasses import replace

from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.effects import effects_of
from outpace.codegen.nests.ir import (
    Apply,
    Expression,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Reduce,
    Statement,
    Store,
    While,
)
from outpace.codegen.nests.rewriting.fuse import temporaries, without_unused

Body = tuple[Statement, ...]

LARGEST_STATEMENT = 2000
"""Nodes of an expression beyond which compilers take too long."""
MOST_REPEATED = 2
"""Operations that may be done again in every iteration of a sequential loop."""
_CHEAP = frozenset(
    {
        Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.NEGATIVE, Op.ABSOLUTE, Op.WHERE, Op.MINIMUM,
        Op.MAXIMUM, Op.LESS, Op.LESS_EQUAL, Op.GREATER, Op.GREATER_EQUAL, Op.EQUAL, Op.NOT_EQUAL,
        Op.LOGICAL_AND, Op.LOGICAL_OR, Op.LOGICAL_NOT, Op.REAL, Op.IMAG, Op.CONJUGATE, Op.WRAP,
    }
)  # fmt: skip


def inlined(program: Program) -> Program:
    """The program with cheap temporaries recomputed by their readers."""
    changed = True
    while changed:
        body, changed = _once(program, program.body)
        program = replace(program, body=body)
    return without_unused(program)


def _once(program: Program, body: Body) -> tuple[Body, bool]:
    """Inline one temporary in this block, or in one inside it."""
    candidates = temporaries(program.body)
    for place, s in enumerate(body):
        store = _producer(s)
        if store is None or store.array not in candidates:
            continue
        rest = _inlined_into(program, store, s, body[place + 1 :])
        if rest is not None:
            return (*body[:place], *rest), True
    for place, s in enumerate(body):
        found = False

        def change(inner: Body) -> Body:
            nonlocal found
            if found:
                return inner
            result, found = _once(program, inner)
            return result

        replaced = walk.with_blocks(s, change)
        if found:
            return (*body[:place], replaced, *body[place + 1 :]), True
    return body, False


def _producer(s: Statement) -> Store | None:
    """The store of a nest that does nothing but fill an array, element by element."""
    if not isinstance(s, Nest) or len(s.body) != 1:
        return None
    store = s.body[0]
    here = tuple(Position(affine.symbol(r.name)) for r in s.ranges)
    if not isinstance(store, Store) or store.indices != here:
        return None
    is_sum = any(isinstance(e, Reduce) for e in walk.expressions(store.value))
    return None if is_sum else store


def _inlined_into(program: Program, store: Store, nest: Statement, rest: Body) -> Body | None:
    """The statements after a producer with its value in place of its array, if that is right."""
    assert isinstance(nest, Nest)
    everywhere = [e for e in walk.loads(program.body) if e.array == store.array]
    here = [e for e in walk.loads(rest) if e.array == store.array]
    written = sum(s.array == store.array for s in walk.stores(program.body))
    affine_only = all(isinstance(i, Position) for e in here for i in e.indices)
    if written != 1 or len(here) != len(everywhere) or not affine_only:
        return None
    if len(here) > 1 and not _is_cheap(store.value):
        return None
    if _operations(store.value) > MOST_REPEATED and _in_loop(rest, store.array):
        return None
    aliases = dependence.aliases(program.body)
    needed = effects_of([replace(nest, body=(replace(store, array="?"),))], aliases)
    last = max((k for k, s in enumerate(rest) if store.array in _loaded(s)), default=-1)
    for s in rest[: last + 1]:
        other = effects_of([s], aliases)
        if other.leaves or other.writes & needed.reads or other.sets & needed.uses:
            return None

    def change(e: Expression) -> Expression:
        if not isinstance(e, Load) or e.array != store.array:
            return e
        values = {
            r.name: i.value
            for r, i in zip(nest.ranges, e.indices, strict=True)
            if isinstance(i, Position)
        }
        return walk.shifted(store.value, values)

    result = walk.with_expressions(rest, change)
    return result if _largest(result) <= LARGEST_STATEMENT else None


def _is_cheap(e: Expression) -> bool:
    return all(
        part.op in _CHEAP
        or (part.op is Op.DIVIDE and part.dtype == "float64" and _by_constant(part))
        for part in walk.expressions(e)
        if isinstance(part, Apply)
    )


def _operations(e: Expression) -> int:
    return sum(isinstance(part, Apply) for part in walk.expressions(e))


def _in_loop(body: Body, array: str) -> bool:
    """Whether a sequential loop in these statements loads an array."""
    return any(isinstance(s, Loop | While) and array in _loaded(s) for s in walk.statements(body))


def _by_constant(e: Apply) -> bool:
    """Whether a division is by something that no index changes."""
    return not any(isinstance(part, Load) for part in walk.expressions(e.operands[1]))


def _loaded(s: Statement) -> set[str]:
    return {e.array for e in walk.loads([s])}


def _largest(body: Body) -> int:
    sizes = (
        sum(1 for _ in walk.expressions(own))
        for s in walk.statements(body)
        for own in walk.own_expressions(s)
    )
    return max(sizes, default=0)
