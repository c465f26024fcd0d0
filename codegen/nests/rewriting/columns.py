"""Carry sequential loops out point by point, instead of one whole array after the other.

    nest i < n: a[i, 0] = f(i)               nest i < n:
    for k in 1, m:                      ->       a[0] = f(i)
        nest i < n: a[i, k] = g(a[i, k-1])       for k in 1, m: a[k] = g(a[k-1])

So it may be where no point of the common indices touches what another one writes. A temporary then
shrinks to what one point needs of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.ir import (
    Allocate,
    Array,
    Assign,
    Expression,
    Load,
    Loop,
    Nest,
    Position,
    Program,
    Reduce,
    Statement,
    Store,
    Variable,
)
from outpace.codegen.nests.rewriting.fuse import renamed, temporaries, without_unused

Body = tuple[Statement, ...]
Aliases = Mapping[str, str]


def by_columns(program: Program) -> Program:
    """The program with loops over nests as nests of loops, wherever that is right."""
    aliases = dependence.aliases(program.body)
    count = 0

    def block(body: Body) -> Body:
        nonlocal count
        result: list[Statement] = []
        rest = list(body)
        while rest:
            run = _run(rest, aliases)
            if any(isinstance(s, Loop) for s in run):
                result += [s for s in run if isinstance(s, Allocate)]
                result.append(_one_nest(run, walk.unused_prefix(program, f"column{count}_")))
                count += 1
                rest = rest[len(run) :]
            else:
                s = rest.pop(0)
                result.append(s if isinstance(s, Nest) else walk.with_blocks(s, block))
        return tuple(result)

    changed = replace(program, body=block(program.body))
    return program if changed == program else without_unused(_with_private(changed))


# --- Finding ------------------------------------------------------------------------------------


def _run(body: Sequence[Statement], aliases: Aliases) -> list[Statement]:
    """Statements at the beginning that can be one nest, perhaps with allocations between them."""
    run: list[Statement] = []
    for s in body:
        if isinstance(s, Allocate) and run:
            run.append(s)
            continue
        nests = _nests([*run, s])
        if not _is_regular(s) or not nests or not _fits(nests, [*run, s], aliases):
            break
        run.append(s)
    while run and isinstance(run[-1], Allocate):
        run.pop()
    return run


def _is_regular(s: Statement) -> bool:
    """Whether a statement is a nest of straight code, or a loop over such nests."""
    if isinstance(s, Nest):
        return not any(
            not isinstance(part, Store | Assign)
            or any(
                isinstance(e, Reduce)
                for own in walk.own_expressions(part)
                for e in walk.expressions(own)
            )
            for part in s.body
        )
    if not isinstance(s, Loop):
        return False
    bounds = (e for own in walk.own_expressions(s) for e in walk.expressions(own))
    return not any(isinstance(e, Load | Reduce) for e in bounds) and all(
        isinstance(part, Nest | Loop) and _is_regular(part) for part in s.body
    )


def _nests(body: Sequence[Statement]) -> list[Nest]:
    return [s for s in walk.statements(body) if isinstance(s, Nest)]


def _fits(nests: Sequence[Nest], run: Sequence[Statement], aliases: Aliases) -> bool:
    """Whether all nests have the same ranges, and only meet within one of their points."""
    first = nests[0]
    extents = [r.extent for r in first.ranges]
    loops = {s.name for s in walk.statements(run) if isinstance(s, Loop)}
    inner = loops | {r.name for n in nests for r in n.ranges}
    if any([r.extent for r in n.ranges] != extents for n in nests):
        return False
    if any(set(extent.names) & inner for extent in extents):
        return False
    body = [renamed(n, first, len(first.ranges)) for n in nests]
    touched = walk.accesses(body)
    moving = [r.name for r in first.ranges]
    return dependence.meet_within_points(touched, touched, moving, loops, aliases)


# --- Merging ------------------------------------------------------------------------------------


def _one_nest(run: Sequence[Statement], prefix: str) -> Nest:
    """The run as one nest; scalars of its parts get names of their own."""
    first = _nests(run)[0]
    count = 0

    def points(body: Sequence[Statement]) -> Body:
        nonlocal count
        result: list[Statement] = []
        for s in body:
            if isinstance(s, Nest):
                point = renamed(s, first, len(first.ranges)).body
                result += _with_own_scalars(point, f"{prefix}{count}_")
                count += 1
            elif isinstance(s, Loop):
                result.append(replace(s, body=points(s.body)))
        return tuple(result)

    return Nest(first.ranges, points(run))


def _with_own_scalars(body: Body, prefix: str) -> Body:
    names = {s.name for s in body if isinstance(s, Assign)}

    def change(e: Expression) -> Expression:
        is_own = isinstance(e, Variable) and e.name in names
        return replace(e, name=prefix + e.name) if is_own and isinstance(e, Variable) else e

    changed = walk.with_expressions(body, change)
    return tuple(replace(s, name=prefix + s.name) if isinstance(s, Assign) else s for s in changed)


# --- Temporaries --------------------------------------------------------------------------------


def _with_private(program: Program) -> Program:
    """The program with temporaries of one nest only as arrays or scalars of its points."""
    arrays = {
        s.array.name: s.array for s in walk.statements(program.body) if isinstance(s, Allocate)
    }
    candidates = temporaries(program.body)
    prefix = walk.unused_prefix(program, "own_")

    def visit(s: Statement) -> Statement:
        if not isinstance(s, Nest):
            return walk.with_blocks(s, lambda body: tuple(visit(part) for part in body))
        if any(isinstance(part, Loop) for part in s.body):
            for name in sorted(candidates):
                s = _private(s, arrays[name], program, prefix)
        return s

    return replace(program, body=tuple(visit(s) for s in program.body))


def _private(nest: Nest, array: Array, program: Program, prefix: str) -> Nest:
    """The nest with an array of its own at every point, if nothing else touches it."""
    name = array.name
    new = prefix + name
    own = _accesses([nest], name)
    if not own or len(own) < len(_accesses(program.body, name)):
        return nest
    axes = [_axis_of(r.name, own) for r in nest.ranges]
    if any(axis is None for axis in axes):
        return nest
    kept = [k for k in range(len(array.shape)) if k not in axes]
    moving = {r.name for r in nest.ranges}
    if any(walk.names_in(indices[k]) & moving for indices in own for k in kept):
        return nest

    def change(e: Expression) -> Expression:
        if not isinstance(e, Load) or e.array != name:
            return e
        left = tuple(e.indices[k] for k in kept)
        return Load(new, left, e.dtype) if kept else Variable(new, e.dtype)

    def stored(s: Statement) -> Statement:
        if isinstance(s, Store) and s.array == name:
            left = tuple(s.indices[k] for k in kept)
            return Store(new, left, s.value) if kept else Assign(new, s.value)
        return walk.with_blocks(s, lambda body: tuple(stored(part) for part in body))

    body = tuple(stored(s) for s in walk.with_expressions(nest.body, change))
    shape = tuple(array.shape[k] for k in kept)
    made = (Allocate(replace(array, name=new, shape=shape)),) if kept else ()
    return replace(nest, body=(*made, *body))


def _accesses(body: Sequence[Statement], array: str) -> list[tuple[Expression, ...]]:
    touched = walk.accesses(body)
    return [e.indices for e in touched if e.array == array]


def _axis_of(name: str, accesses: Sequence[tuple[Expression, ...]]) -> int | None:
    """The axis at which every access has this index and nothing else."""
    here = Position(affine.symbol(name))
    for axis in range(len(accesses[0])):
        if all(indices[axis] == here for indices in accesses):
            return axis
    return None
