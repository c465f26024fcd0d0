"""Merge nests that run over the same indices, and keep in scalars what no longer needs memory.

Two nests are merged when every element that one writes and the other touches belongs to the same
iteration of the merged indices. Where only the first indices agree, the nests keep their inner
ranges inside the merged ones, so that a row stays in the cache from one to the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.effects import effects_of
from outpace.codegen.nests.ir import (
    Allocate,
    Assign,
    Expression,
    Load,
    Nest,
    Program,
    Rebind,
    Statement,
    Store,
    Variable,
)

Body = tuple[Statement, ...]
Aliases = Mapping[str, str]


def fused(program: Program) -> Program:
    """The program with nests merged and temporaries of one point kept in scalars."""
    body = _merged(program.body, dependence.aliases(program.body))
    return without_unused(scalarised(replace(program, body=body)))


def _merged(body: Body, aliases: Aliases) -> Body:
    result: list[Statement] = []
    for s in _allocations_first(body, aliases):
        if not isinstance(s, Nest):
            result.append(walk.with_blocks(s, lambda inner: _merged(inner, aliases)))
            continue
        place, merged = _partner(result, s, aliases)
        if merged is None:
            result.append(s)
        else:
            result[place] = merged
    return tuple(
        replace(s, body=_merged(s.body, aliases)) if isinstance(s, Nest) else s for s in result
    )


def _allocations_first(body: Body, aliases: Aliases) -> Body:
    """The block with allocations as early as possible, so that they part no nests."""
    result: list[Statement] = []
    for s in body:
        place = len(result)
        if isinstance(s, Allocate):
            own = effects_of([s], aliases)
            while place and own.commutes(effects_of([result[place - 1]], aliases)):
                place -= 1
        result.insert(place, s)
    return tuple(result)


def _partner(before: list[Statement], nest: Nest, aliases: Aliases) -> tuple[int, Nest | None]:
    """The last nest with which this one can be merged by moving up to it."""
    own = effects_of([nest], aliases)
    for place in range(len(before) - 1, -1, -1):
        earlier = before[place]
        if isinstance(earlier, Nest):
            merged = _merge(earlier, nest, aliases)
            if merged is not None:
                return place, merged
        if not own.commutes(effects_of([earlier], aliases)):
            break
    return 0, None


def _merge(first: Nest, second: Nest, aliases: Aliases) -> Nest | None:
    """The two nests as one, over as many common indices as possible."""
    common = 0
    for a, b in zip(first.ranges, second.ranges, strict=False):
        if a.extent != b.extent:
            break
        common += 1
    shared = _arrays(first) & _arrays(second)
    for depth in range(common, 0, -1):
        whole = depth == len(first.ranges) == len(second.ranges)
        if (whole or shared) and _independent(first, renamed(second, first, depth), depth, aliases):
            second = renamed(second, first, depth)
            body = (*_rest(first, depth), *_rest(second, depth))
            return Nest(first.ranges[:depth], body)
    return None


def _arrays(nest: Nest) -> set[str]:
    return {access.array for access in walk.accesses([nest])}


def renamed(nest: Nest, like: Nest, depth: int) -> Nest:
    """The nest with its first indices, so many of them, called as those of another."""
    names = {
        own.name: affine.symbol(other.name)
        for own, other in zip(nest.ranges[:depth], like.ranges[:depth], strict=True)
    }

    def extents(s: Statement) -> Statement:
        if isinstance(s, Nest):
            ranges = tuple(replace(r, extent=affine.substituted(r.extent, names)) for r in s.ranges)
            s = replace(s, ranges=ranges)
        return walk.with_blocks(s, lambda inner: tuple(extents(part) for part in inner))

    body = tuple(extents(s) for s in walk.with_expressions(nest.body, walk.substituting(names)))
    return Nest((*like.ranges[:depth], *nest.ranges[depth:]), body)


def _rest(nest: Nest, depth: int) -> Body:
    """What remains inside the first ranges."""
    inner = nest.ranges[depth:]
    return (Nest(inner, nest.body),) if inner else nest.body


def _independent(first: Nest, second: Nest, depth: int, aliases: Aliases) -> bool:
    """Whether the nests only meet within one iteration of their first ranges."""
    moving = [r.name for r in first.ranges[:depth]]
    others = _inner_names(first, depth) | _inner_names(second, depth)
    return dependence.meet_within_points(
        walk.accesses([first]), walk.accesses([second]), moving, others, aliases
    )


def _inner_names(nest: Nest, depth: int) -> set[str]:
    return {r.name for r in nest.ranges[depth:]} | walk.indices(nest.body)


# --- Temporaries --------------------------------------------------------------------------------


def temporaries(body: Body) -> set[str]:
    """Local arrays that are neither renamed nor reshaped, so that their accesses are all known."""
    made = {s.array.name for s in walk.statements(body) if isinstance(s, Allocate)}
    for s in walk.statements(body):
        if isinstance(s, Rebind):
            made -= set(s.targets)
    aliases = dependence.aliases(body)
    return made - set(aliases.values()) - set(aliases) - walk.library_arrays(body)


def scalarised(program: Program) -> Program:
    """Temporaries that are written and read at one point of a nest become scalars of it."""
    candidates = temporaries(program.body)
    loads = Counter(load.array for load in walk.loads(program.body))
    stores = Counter(store.array for store in walk.stores(program.body))

    def in_nest(body: Body) -> Body:
        result: list[Statement] = []
        rest = [visit(s) for s in body]
        while rest:
            s, *rest = rest
            if isinstance(s, Store) and s.array in candidates and stores[s.array] == 1:
                here = [e for e in walk.loads(rest) if e.array == s.array]
                same = all(e.indices == s.indices for e in here)
                if same and len(here) == loads[s.array]:
                    rest = list(_with_scalar(tuple(rest), s))
                    s = Assign(s.array, s.value)
            result.append(s)
        return tuple(result)

    def visit(s: Statement) -> Statement:
        if isinstance(s, Nest):
            return replace(s, body=in_nest(s.body))
        return walk.with_blocks(s, lambda inner: tuple(visit(part) for part in inner))

    return replace(program, body=tuple(visit(s) for s in program.body))


def _with_scalar(body: Body, store: Store) -> Body:
    variable = Variable(store.array, store.value.dtype)

    def change(e: Expression) -> Expression:
        return variable if isinstance(e, Load) and e.array == store.array else e

    return walk.with_expressions(body, change)


def without_unused(program: Program) -> Program:
    """The program without arrays that nothing loads or stores."""
    used = {e.array for e in walk.loads(program.body)} | {
        e.array for e in walk.stores(program.body)
    }
    dead = temporaries(program.body) - used

    def keep(body: Body) -> Body:
        return tuple(
            walk.with_blocks(s, keep)
            for s in body
            if not (isinstance(s, Allocate) and s.array.name in dead)
        )

    return replace(program, body=keep(program.body))
