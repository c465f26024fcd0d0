"""Let the second-last state of a time loop be computed such that the last one is in the output.

Two buffers that change places in every step end up in an order that the number of steps decides. So
one of them can be the output itself, and the copy at the end is spared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Constant,
    Expression,
    If,
    Jump,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Rebind,
    Reshape,
    Statement,
    Store,
)

Body = tuple[Statement, ...]


def landed(program: Program) -> Program:
    """The program with buffers in outputs wherever the pattern occurs at its top level."""
    outputs = {
        p.name: p for p in program.parameters if isinstance(p, Array) and p.name in program.outputs
    }
    known = {p.name for p in program.parameters} | {s.name for s in program.sizes}
    body = program.body
    for name, output in outputs.items():
        found = _pattern(body, output, known)
        if found is not None:
            body = _rewritten(body, name, *found)
    return replace(program, body=body)


def _pattern(body: Body, output: Array, known: set[str]) -> tuple[Loop, Rebind, Nest] | None:
    """The time loop, its exchange of buffers, and the copy at the end."""
    last = next((s for s in reversed(body) if output.name in _touched([s])), None)
    source = _copied_from(last, output)
    if source is None or not isinstance(last, Nest):
        return None
    for place, s in enumerate(body):
        swaps = [r for r in walk.statements([s]) if isinstance(r, Rebind) and source in r.targets]
        if not swaps:
            continue
        if not isinstance(s, Loop) or len(swaps) > 1 or swaps[0] not in s.body:
            return None
        swap = swaps[0]
        end = body.index(last)
        after = [*body[place + 1 : end], *body[end + 1 :]]
        is_right = (
            swap.targets == swap.sources[::-1]
            and len(swap.targets) == 2
            and s.step == Constant(1, "int64")
            and not any(isinstance(j, Jump) for j in walk.statements(s.body))
            and walk.names_in(s.start) | walk.names_in(s.stop) <= known
            and not any(isinstance(e, Load) for b in (s.start, s.stop) for e in walk.expressions(b))
            and output.name not in _touched([s])
            and not _touched(after) & {output.name, *swap.targets}
            and all(_is_allocated(body[:place], name, output) for name in swap.targets)
            and _is_pointwise(body[:place], output.name, swap.targets)
        )
        return (s, swap, last) if is_right else None
    return None


def _copied_from(s: Statement | None, output: Array) -> str | None:
    """The array of which a nest makes the output a copy, whole."""
    if not isinstance(s, Nest) or len(s.body) != 1 or not isinstance(s.body[0], Store):
        return None
    store = s.body[0]
    here = tuple(Position(affine.symbol(r.name)) for r in s.ranges)
    whole = tuple(r.extent for r in s.ranges) == output.shape
    value = store.value
    if store.array != output.name or not whole or not isinstance(value, Load):
        return None
    same = store.indices == here and value.indices == here and value.array != output.name
    return value.array if same else None


def _touched(body: Iterable[Statement]) -> set[str]:
    body = tuple(body)
    reshaped = {
        name
        for s in walk.statements(body)
        if isinstance(s, Reshape)
        for name in (s.array.name, s.base)
    }
    return reshaped | {e.array for e in walk.loads(body)} | {s.array for s in walk.stores(body)}


def _is_allocated(body: Body, name: str, output: Array) -> bool:
    arrays = [s.array for s in body if isinstance(s, Allocate) and s.array.name == name]
    return [(a.dtype, a.shape) for a in arrays] == [(output.dtype, output.shape)]


def _is_pointwise(body: Body, output: str, buffers: tuple[str, ...]) -> bool:
    """Whether the buffers may share memory with the output before the loop, element by element.

    They then hold what the output holds, and the output holds it until the loop begins.
    """
    if any(e.array in buffers for e in walk.loads(body)):
        return False
    if output not in _touched(body):
        return True
    stored = [s.array for s in walk.stores(body) if s.array in (output, *buffers)]
    is_first = stored == sorted(stored, key=lambda name: name != output)
    return is_first and all(_copies(s, output, buffers) for s in body)


def _copies(s: Statement, output: str, buffers: tuple[str, ...]) -> bool:
    """Whether a statement takes for the buffers only elements of the output, each in its place."""
    if not _touched([s]) & {*buffers}:
        return True
    if isinstance(s, If):
        is_apart = output not in _touched([replace(s, body=(), orelse=())])
        return is_apart and all(
            _copies(part, output, buffers) for block in walk.blocks(s) for part in block
        )
    if not isinstance(s, Nest | Store):
        return False
    places = [e.indices for e in walk.accesses([s]) if e.array in (output, *buffers)]
    is_written = any(store.array == output for store in walk.stores([s]))
    return (not is_written or places.count(places[0]) == len(places)) and all(
        store.value == Load(output, store.indices, store.value.dtype)
        for store in walk.stores([s])
        if store.array in buffers
    )


def _rewritten(body: Body, output: str, loop: Loop, swap: Rebind, copy: Nest) -> Body:
    first, second = swap.targets
    last = copy.body[0]
    assert isinstance(last, Store)
    assert isinstance(last.value, Load)
    landing = last.value.array
    other = second if landing == first else first
    arrays = {
        s.array.name: s.array
        for s in body
        if isinstance(s, Allocate) and s.array.name in swap.targets
    }
    made: Body = (
        Reshape(arrays[landing], output),
        Allocate(arrays[other]),
        If(_is_odd(loop), (Rebind((landing, other), (other, landing)),), ()),
    )
    result: list[Statement] = []
    for s in body:
        if isinstance(s, Allocate) and s.array.name in arrays:
            result += made
            made = ()
        elif s is not copy:
            result.append(s)
    return tuple(result)


def _is_odd(loop: Loop) -> Expression:
    """Whether the loop runs an odd number of times."""
    count = loop.stop
    if loop.start != Constant(0, "int64"):
        count = Apply(Op.SUBTRACT, (loop.stop, loop.start), "int64")
    runs = Apply(Op.GREATER, (loop.stop, loop.start), "bool")
    two = Constant(2, "int64")
    rest = Apply(Op.REMAINDER, (count, two), "int64")
    odd = Apply(Op.NOT_EQUAL, (rest, Constant(0, "int64")), "bool")
    return Apply(Op.LOGICAL_AND, (runs, odd), "bool")
