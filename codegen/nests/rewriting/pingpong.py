"""Replace `copy = f(u); u[interior] = copy` in a time loop by two buffers that change places.

NumPy evaluates the right side before it stores, so an in-place stencil sweep needs a temporary and
a second pass. When that store is all that writes `u` in the loop, the rest of `u` never changes,
and a second buffer that starts as a copy of `u` can take the new values at once.
"""

from __future__ import annotations

from dataclasses import replace

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Allocate,
    Array,
    Expression,
    Load,
    Loop,
    Nest,
    Position,
    Program,
    Range,
    Rebind,
    Statement,
    Store,
)
from outpace.codegen.nests.lifting.results import renamed
from outpace.codegen.nests.rewriting.fuse import temporaries, without_unused

Body = tuple[Statement, ...]


def ping_ponged(program: Program) -> Program:
    """The program with two buffers wherever the pattern occurs at its top level."""
    body: list[Statement] = []
    for place, s in enumerate(program.body):
        found = _pattern(program, s) if isinstance(s, Loop) else None
        if isinstance(s, Loop) and found is not None:
            body += _rewritten(program, s, *found)
            program = replace(program, body=(*body, *program.body[place + 1 :]))
        else:
            body.append(s)
    return without_unused(replace(program, body=tuple(body)))


def _pattern(program: Program, loop: Loop) -> tuple[int, Array] | None:
    """Where in the loop the two nests begin, and the array that they update."""
    shapes = _shapes(program)
    for place, (first, second) in enumerate(zip(loop.body, loop.body[1:], strict=False)):
        new, back = _single_store(first), _single_store(second)
        if new is None or back is None or not isinstance(back.value, Load):
            continue
        copy, target = new.array, back.array
        accesses = [e.array for e in walk.loads(program.body)].count(copy)
        written = [s.array for s in walk.stores(loop.body)].count(target)
        later = loop.body[place + 2 :]
        if (
            copy in temporaries(program.body)
            and any(e.array == target for e in walk.loads([first]))
            and accesses == 1
            and back.value.array == copy
            and back.value.indices == _here(second)
            and new.indices == _here(first)
            and _extents(first) == _extents(second)
            and written == 1
            and not _moves(loop, second, back)
            and target in shapes
            and not any(
                isinstance(s, Rebind) and target in s.targets for s in walk.statements(later)
            )
        ):
            return place, shapes[target]
    return None


def _moves(loop: Loop, nest: Statement, back: Store) -> bool:
    """Whether the region that is stored changes from one iteration to the next."""
    assert isinstance(nest, Nest)
    varying = walk.scalars_written([loop]) - {r.name for r in nest.ranges}
    used = {n for r in nest.ranges for n in r.extent.names}
    for index in back.indices:
        used |= walk.names_in(index)
    return bool(used & varying) or any(not isinstance(i, Position) for i in back.indices)


def _shapes(program: Program) -> dict[str, Array]:
    """Arrays that may change places: local ones, outputs and arguments that are written."""
    found = {
        s.array.name: s.array
        for s in program.body
        if isinstance(s, Allocate) and s.array.name in temporaries(program.body)
    }
    stored = {s.array for s in walk.stores(program.body)}
    parameters = {
        p.name: p for p in program.parameters if isinstance(p, Array) and p.name in stored
    }
    touched = walk.library_arrays(program.body)
    return {name: array for name, array in (found | parameters).items() if name not in touched}


def _single_store(s: Statement) -> Store | None:
    if isinstance(s, Nest) and len(s.body) == 1 and isinstance(s.body[0], Store):
        return s.body[0]
    return None


def _here(s: Statement) -> tuple[Expression, ...]:
    assert isinstance(s, Nest)
    return tuple(Position(affine.symbol(r.name)) for r in s.ranges)


def _extents(s: Statement) -> list[Affine]:
    assert isinstance(s, Nest)
    return [r.extent for r in s.ranges]


def _rewritten(program: Program, loop: Loop, place: int, target: Array) -> Body:
    """The loop with two buffers; an output takes part through a local copy."""
    old = replace(target, name=walk.unused_prefix(program, f"{target.name}_old"))
    new = replace(target, name=walk.unused_prefix(program, f"{target.name}_new"))
    first, second = loop.body[place], loop.body[place + 1]
    store, back = _single_store(first), _single_store(second)
    assert isinstance(first, Nest)
    assert isinstance(second, Nest)
    assert store is not None
    assert back is not None
    names = {
        b.name: affine.symbol(a.name) for a, b in zip(first.ranges, second.ranges, strict=True)
    }
    indices = tuple(walk.shifted(i, names) for i in back.indices)
    update = replace(first, body=(Store(new.name, indices, store.value),))
    body = renamed((*loop.body[:place], update, *loop.body[place + 2 :]), target.name, old.name)
    swap = Rebind((old.name, new.name), (new.name, old.name))
    cut = place + 1
    return (
        Allocate(old),
        Allocate(new),
        _copied(target, target.name, old.name),
        _copied(target, target.name, new.name),
        replace(loop, body=(*body[:cut], swap, *body[cut:])),
        _copied(target, old.name, target.name),
    )


def _copied(shape: Array, source: str, target: str) -> Nest:
    ranges = tuple(Range(f"{target}_at{k}", extent) for k, extent in enumerate(shape.shape))
    here = tuple(Position(affine.symbol(r.name)) for r in ranges)
    return Nest(ranges, (Store(target, here, Load(source, here, shape.dtype)),))
