"""Replace `copy = f(u); u[interior] = copy` in a time loop by two buffers that change places.

NumPy evaluates the right side before it stores, so an in-place stencil sweep needs a temporary and
a second pass. A person writes it as `old = u.copy(); u[interior] = f(old)`, with a pass before. If
every step writes anew all that the loop ever writes of `u`, a second buffer that starts as a copy
of `u` can take the new values at once, those of its borders among them (see `renewal`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from outpace.codegen.dims import Affine
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
    Range,
    Rebind,
    Statement,
    Store,
)
from outpace.codegen.nests.lifting.results import renamed
from outpace.codegen.nests.rewriting.fuse import temporaries, without_unused
from outpace.codegen.nests.rewriting.renewal import least_extent

Body = tuple[Statement, ...]


@dataclass(frozen=True)
class _Sweep:
    """An array that a loop renews in every step, and how.

    Attributes:
        target: The array.
        copy: Name of the temporary that goes with it.
        update: The nest that writes the new values.
        first: Where in the loop the temporary is made.
        second: Where in the loop the array is written.
        least: Extents of the array from which on two buffers may be used.
    """

    target: Array
    copy: str
    update: Nest
    first: int
    second: int
    least: int


def ping_ponged(program: Program) -> Program:
    """The program with two buffers wherever the pattern occurs."""
    done: list[Loop] = []
    while (changed := _once(program, done)) is not None:
        program = changed
    return without_unused(program)


def _once(program: Program, done: list[Loop]) -> Program | None:
    """With one more loop changed, if there is one; a changed one may stay for small extents."""
    is_done = False

    def block(body: Body) -> Body:
        nonlocal is_done
        result: list[Statement] = []
        for s in body:
            is_open = isinstance(s, Loop) and not is_done and s not in done
            found = _sweep(program, s) if isinstance(s, Loop) and is_open else None
            if isinstance(s, Loop) and found is not None:
                is_done = True
                done.append(s)
                result += _rewritten(program, s, found)
            else:
                result.append(s if isinstance(s, Nest) else walk.with_blocks(s, block))
        return tuple(result)

    changed = replace(program, body=block(program.body))
    return changed if is_done else None


# --- Finding ------------------------------------------------------------------------------------


def _sweep(program: Program, loop: Loop) -> _Sweep | None:
    """The first array that the loop sweeps over."""
    targets, copies = _shapes(program), temporaries(program.body)
    for second, s in enumerate(loop.body):
        for first in range(second - 1, -1, -1):
            made = _single_store(loop.body[first])
            back = _single_store(s)
            if made is None or back is None or made.array not in copies:
                continue
            if back.array not in targets or back.array == made.array:
                continue
            target = targets[back.array]
            update = _stored_back(program, loop, first, second)
            update = update or _from_copy(loop, first, second, target)
            if update is None:
                continue
            least = _least(program, loop, second, update, target)
            if least is not None:
                return _Sweep(target, made.array, update, first, second, least)
    return None


def _stored_back(program: Program, loop: Loop, first: int, second: int) -> Nest | None:
    """`copy = f(u); u[interior] = copy`, next to each other, as one nest that stores into `u`."""
    before, after = loop.body[first], loop.body[second]
    new, back = _single_store(before), _single_store(after)
    if not isinstance(before, Nest) or not isinstance(after, Nest) or second != first + 1:
        return None
    if new is None or back is None:
        return None
    reads = [e.array for e in walk.loads(program.body)].count(new.array)
    is_pattern = (
        reads == 1
        and isinstance(back.value, Load)
        and back.value.array == new.array
        and back.value.indices == _here(after)
        and new.indices == _here(before)
        and _extents(before) == _extents(after)
        and any(e.array == back.array for e in walk.loads([before]))
    )
    if not is_pattern:
        return None
    names = {
        b.name: affine.symbol(a.name) for a, b in zip(before.ranges, after.ranges, strict=True)
    }
    indices = tuple(walk.shifted(i, names) for i in back.indices)
    return replace(before, body=(Store(back.array, indices, new.value),))


def _from_copy(loop: Loop, first: int, second: int, target: Array) -> Nest | None:
    """`old = u.copy()`, and later `u[interior] = f(old)`, which reads `old` in place of `u`."""
    before, after = loop.body[first], loop.body[second]
    made, update = _single_store(before), _single_store(after)
    if not isinstance(before, Nest) or not isinstance(after, Nest):
        return None
    if made is None or update is None or not isinstance(made.value, Load):
        return None
    between = loop.body[first + 1 : second]
    touched = [s.array for s in walk.stores(between)]
    is_pattern = (
        made.value.array == target.name
        and tuple(_extents(before)) == target.shape
        and made.indices == made.value.indices == _here(before)
        and target.name not in touched
        and made.array not in touched
        and made.array not in {e.array for e in walk.loads(loop.body[: first + 1])}
        and [s.array for s in walk.stores(loop.body)].count(made.array) == 1
        and any(e.array == made.array for e in walk.loads([after]))
        and not any(isinstance(s, Rebind) for s in walk.statements(between))
    )
    return after if is_pattern else None


def _least(program: Program, loop: Loop, second: int, update: Nest, target: Array) -> int | None:
    """Extents from which on each step writes anew what the loop writes of the array."""
    name = target.name
    rest = [*loop.body[:second], *loop.body[second + 1 :]]
    later = [s for s in loop.body[second + 1 :] if any(e.array == name for e in walk.accesses([s]))]
    if name in {s.array for s in walk.stores(loop.body[:second])}:
        return None
    if any(isinstance(s, Rebind) and name in s.targets for s in walk.statements(rest)):
        return None
    if _moves(loop, update):
        return None
    if name not in {s.array for s in walk.stores(later)}:
        return 0
    if any(isinstance(s, Jump) for s in walk.statements(loop.body)):
        return None
    plain = [s for s in later if isinstance(s, Nest | Store)]
    sizes = {size.name for size in program.sizes}
    return least_extent(update, plain, target, sizes) if len(plain) == len(later) else None


def _moves(loop: Loop, nest: Nest) -> bool:
    """Whether the region that is stored changes from one iteration to the next."""
    back = _single_store(nest)
    assert back is not None
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


def _here(s: Nest) -> tuple[Expression, ...]:
    return tuple(Position(affine.symbol(r.name)) for r in s.ranges)


def _extents(s: Nest) -> list[Affine]:
    return [r.extent for r in s.ranges]


# --- Rewriting ----------------------------------------------------------------------------------


def _rewritten(program: Program, loop: Loop, sweep: _Sweep) -> Body:
    """The loop with two buffers; an output takes part through a local copy."""
    target = sweep.target
    old = replace(target, name=walk.unused_prefix(program, f"{target.name}_old"))
    new = replace(target, name=walk.unused_prefix(program, f"{target.name}_new"))
    store = _single_store(sweep.update)
    assert store is not None
    update = replace(sweep.update, body=(replace(store, array=new.name),))
    swap = Rebind((old.name, new.name), (new.name, old.name))
    before = (*loop.body[: sweep.first], *loop.body[sweep.first + 1 : sweep.second], update)
    before = renamed(renamed(before, sweep.copy, old.name), target.name, old.name)
    after = renamed(loop.body[sweep.second + 1 :], sweep.copy, old.name)
    body = (*before, *renamed(after, target.name, new.name), swap)
    if any(isinstance(s, Jump) for s in walk.statements(after)):
        # Whoever leaves the step early must find the buffers exchanged, and their names with them.
        after = renamed(renamed(after, old.name, new.name), target.name, old.name)
        body = (*before, swap, *after)
    buffered: Body = (
        Allocate(old),
        Allocate(new),
        _copied(target, target.name, old.name),
        _copied(target, target.name, new.name),
        replace(loop, body=body),
        _copied(target, old.name, target.name),
    )
    if not sweep.least:
        return buffered
    large = [
        Apply(Op.GREATER_EQUAL, (Position(extent), Constant(sweep.least, "int64")), "bool")
        for extent in target.shape
        if extent.terms
    ]
    condition: Expression = large[0]
    for one in large[1:]:
        condition = Apply(Op.LOGICAL_AND, (condition, one), "bool")
    return (*buffered[:2], If(condition, buffered[2:], (loop,)))


def _copied(shape: Array, source: str, target: str) -> Nest:
    ranges = tuple(Range(f"{target}_at{k}", extent) for k, extent in enumerate(shape.shape))
    here = tuple(Position(affine.symbol(r.name)) for r in ranges)
    return Nest(ranges, (Store(target, here, Load(source, here, shape.dtype)),))
