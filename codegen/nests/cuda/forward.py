"""Hand on values instead of loading them back, and drop stores that are overwritten."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Array,
    Constant,
    Expression,
    Load,
    Nest,
    Position,
    Program,
    Rebind,
    Reshape,
    Statement,
    Store,
)

Body = tuple[Statement, ...]
Known = dict[tuple[str, tuple[Expression, ...]], Expression]


def forwarded(program: Program) -> Program:
    """The program with values of simple stores handed on within nests.

    An output that is then never read, and wholly written by the last statement that writes it, is
    written by that one alone.
    """
    body = tuple(_handed_on(s) if isinstance(s, Nest) else s for s in program.body)
    for p in program.parameters:
        if isinstance(p, Array) and p.name in program.outputs:
            body = _without_early_stores(body, p)
    return replace(program, body=body)


def _handed_on(nest: Nest) -> Nest:
    """Later statements of the nest itself get values that are constants or never change."""
    written = {store.array for store in walk.stores(nest.body)}
    known: Known = {}
    found: list[Statement] = []
    for s in nest.body:
        if not isinstance(s, Store):
            touched = {store.array for store in walk.stores((s,))}
            known = {place: value for place, value in known.items() if place[0] not in touched}
            found.append(s)
            continue
        value = walk.rewritten(s.value, partial(_known, known))
        known = {place: held for place, held in known.items() if place[0] != s.array}
        if isinstance(value, Constant) or (isinstance(value, Load) and _is_fixed(value, written)):
            known[s.array, s.indices] = value
        found.append(replace(s, value=value))
    return replace(nest, body=tuple(found))


def _known(known: Known, e: Expression) -> Expression:
    return known.get((e.array, e.indices), e) if isinstance(e, Load) else e


def _is_fixed(load: Load, written: set[str]) -> bool:
    """Whether an element is the same during the nest, whichever iteration looks."""
    return load.array not in written and all(isinstance(i, Position) for i in load.indices)


def _without_early_stores(body: Body, output: Array) -> Body:
    """The statements without stores to an output before it is written as a whole."""
    names = {load.array for load in walk.loads(body)} | walk.library_arrays(body)
    if output.name in names or output.name in _renamed(body):
        return body
    last = max(
        (k for k, s in enumerate(body) if any(t.array == output.name for t in walk.stores((s,)))),
        default=0,
    )
    if not body or not _is_whole(body[last], output):
        return body
    return (*(_dropped(s, output.name) for s in body[:last]), *body[last:])


def _renamed(body: Body) -> set[str]:
    """Arrays that have further names, or change theirs."""
    found: set[str] = set()
    for s in walk.statements(body):
        if isinstance(s, Reshape):
            found |= {s.base, s.array.name}
        elif isinstance(s, Rebind):
            found |= {*s.targets, *s.sources}
    return found


def _is_whole(s: Statement, output: Array) -> bool:
    """Whether a nest writes every element of an array."""
    if not isinstance(s, Nest) or tuple(r.extent for r in s.ranges) != output.shape:
        return False
    here = tuple(Position(affine.symbol(r.name)) for r in s.ranges)
    return any(
        isinstance(t, Store) and t.array == output.name and t.indices == here for t in s.body
    )


def _dropped(s: Statement, array: str) -> Statement:
    if not isinstance(s, Nest):
        return s
    rest = tuple(t for t in s.body if not (isinstance(t, Store) and t.array == array))
    return replace(s, body=rest) if rest else s
