"""Keep a temporary in the memory of an output that is computed from it point by point.

A fresh array costs more to map and clear than to compute, so `out = weights / total` is better done
with `weights` in `out` from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Allocate,
    Array,
    Expression,
    Nest,
    Position,
    Program,
    Statement,
    Store,
)
from outpace.codegen.nests.lifting.results import renamed
from outpace.codegen.nests.rewriting.fuse import temporaries, without_unused

Body = tuple[Statement, ...]


def reused(program: Program) -> Program:
    """The program with temporaries in outputs where that changes no value."""
    for parameter in program.parameters:
        if not isinstance(parameter, Array) or parameter.name not in program.outputs:
            continue
        for s in program.body:
            if isinstance(s, Allocate) and _may_share(program, s.array, parameter):
                body = renamed(program.body, s.array.name, parameter.name)
                program = without_unused(replace(program, body=body))
                break
    return program


def _may_share(program: Program, temporary: Array, output: Array) -> bool:
    """Whether the output is stored once, last, and at each point from that point only."""
    stores = [s for s in walk.stores(program.body) if s.array == output.name]
    loaded = any(e.array == output.name for e in walk.loads(program.body))
    loaded = loaded or output.name in walk.library_arrays(program.body)
    same = (temporary.dtype, temporary.shape) == (output.dtype, output.shape)
    if not same or loaded or len(stores) != 1 or temporary.name not in temporaries(program.body):
        return False
    path, later = _way_to(stores[0], program.body)
    if not path or path[-1].body != (stores[0],):
        return False
    ranges = [r for nest in path for r in nest.ranges]
    here = tuple(Position(affine.symbol(r.name)) for r in ranges)
    whole = stores[0].indices == here and tuple(r.extent for r in ranges) == output.shape
    outer = here[: len(ranges) - len(path[-1].ranges)]
    last = _accesses(path[-1:], temporary.name)
    around = _accesses(path[:1], temporary.name)
    return (
        whole
        and not _accesses(later, temporary.name)
        and all(indices == here for indices in last)
        and all(indices[: len(outer)] == outer for indices in around)
    )


def _way_to(store: Store, body: Body) -> tuple[list[Nest], list[Statement]]:
    """The nests around a store, outermost first, and all that follows them in their blocks."""
    for place, s in enumerate(body):
        if not isinstance(s, Nest) or not any(found is store for found in walk.stores([s])):
            continue
        if any(part is store for part in s.body):
            return [s], list(body[place + 1 :])
        inner, later = _way_to(store, s.body)
        return ([s, *inner], [*later, *body[place + 1 :]]) if inner else ([], [])
    return [], []


def _accesses(body: Sequence[Statement], array: str) -> list[tuple[Expression, ...]]:
    """Indices at which a block touches an array."""
    touched = walk.accesses(body)
    return [access.indices for access in touched if access.array == array]
