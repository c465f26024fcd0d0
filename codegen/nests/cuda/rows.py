"""Statements as all threads of a block execute them together, for one iteration of a nest.

Scalars have the same value in every thread. Threads share the iterations of nests and reductions
inside; they wait for each other where one reads or writes what another one has written.
"""

from __future__ import annotations

from collections.abc import Mapping

from outpace.codegen.nests import walk
from outpace.codegen.nests.c.scopes import assigned_in, homes, is_fresh, mentioned
from outpace.codegen.nests.cuda.expressions import cuda_type
from outpace.codegen.nests.cuda.parameters import PARTS, ROW
from outpace.codegen.nests.cuda.reductions import across_block, is_inexact
from outpace.codegen.nests.cuda.threads import Thread, indented, nested, range_head
from outpace.codegen.nests.ir import (
    Apply,
    Assign,
    Constant,
    Define,
    Expression,
    If,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Range,
    Reduce,
    Reduction,
    Statement,
    Store,
    Variable,
)

Body = tuple[Statement, ...]
_BARRIER = "__syncthreads();"
_WARP = 32


def suits_rows(body: Body, *, reorder: bool) -> bool:
    """Whether the threads of a block find something to share in one iteration."""
    if any(not isinstance(s, Store | Assign | Define | Nest | Loop | If) for s in _together(body)):
        return False
    if not reorder and any(is_inexact(r) for r in _reductions(_together(body))):
        return False
    loops = [s for s in _together(body) if isinstance(s, Loop) and sums_of(s) is None]
    if any(not _has_shared_work(s.body, reorder=reorder) for s in loops):
        return False
    return _has_shared_work(body, reorder=reorder)


def is_side_by_side(program: Program) -> bool:
    """Whether threads that do an iteration each read neighbouring elements in some reduction.

    Elements whose place is computed are taken for neighbours.
    """
    return any(
        not isinstance(load.indices[-1], Position)
        or s.ranges[-1].name in load.indices[-1].value.names
        for s in program.body
        if isinstance(s, Nest) and s.ranges
        for load in _reduced(s.body)
        if load.indices
    )


def _reduced(body: Body) -> list[Load]:
    """Loads in reductions, and in loops of sums."""
    inside = list(walk.statements(body))
    loops = [s for s in inside if isinstance(s, Loop) and sums_of(s) is not None]
    in_reductions = [e for r in _reductions(inside) for e in walk.expressions(r)]
    return [*(e for e in in_reductions if isinstance(e, Load)), *walk.loads(loops)]


def sums_of(loop: Loop) -> dict[str, Expression] | None:
    """What a loop adds up, by the scalar that holds the sum; None if it does anything else."""
    found: dict[str, Expression] = {}
    used: set[str] = set()
    written: list[str] = []
    for s in loop.body:
        if not isinstance(s, Assign):
            return None
        written.append(s.name)
        match s.value:
            case Apply(op=Op.ADD, operands=(Variable(name=name), addend)) if name == s.name:
                found[name] = addend
                used |= walk.names_in(addend)
            case _ if is_fresh(s.name, loop.body):
                used |= walk.names_in(s.value)
            case _:
                return None
    if not found or set(found) & used or len(set(written)) != len(written):
        return None
    return found if loop.step == Constant(1, "int64") else None


class Row:
    """Writes the statements of a block.

    Args:
        thread: Writes what each thread does by itself.
        aliases: Arrays that are other names of the memory of another one.
        reorder: Whether floats may be summed in another order.
        part: The index of the block, where blocks share reductions.
    """

    def __init__(
        self,
        thread: Thread,
        aliases: Mapping[str, str],
        *,
        reorder: bool,
        part: str | None = None,
    ) -> None:
        self._thread = thread
        self._aliases = aliases
        self._reorder = reorder
        self._part = part
        self._read: set[str] = set()
        self._written: set[str] = set()

    def scope(self, body: Body, given: frozenset[str] = frozenset()) -> list[str]:
        """All statements of one iteration; no other one touches what it writes."""
        types = assigned_in(body)
        self._read, self._written = set(), set()
        return self._block(body, frozenset(types) - given, types)

    def _block(self, body: Body, names: frozenset[str], types: dict[str, str]) -> list[str]:
        found = homes(body, names)
        lines = [f"{cuda_type(types[name])} {name};" for name in found.first]
        for k, s in enumerate(body):
            lines += self._barrier(s)
            written = self._statement(s, found.within.get(k, frozenset()), types)
            if k in found.inline:
                written[-1] = f"{cuda_type(types[found.inline[k]])} {written[-1]}"
            lines += written
        return lines

    def _memory(self, array: str) -> str:
        return self._aliases.get(array, array)

    def _barrier(self, s: Statement) -> list[str]:
        """What keeps threads from meeting in memory before the next statement."""
        read = {self._memory(a) for a in _loaded((s,))}
        written = {self._memory(a) for a in _stored((s,))}
        meets = written & (self._read | self._written) or read & self._written
        if meets:
            self._read, self._written = set(), set()
        self._read |= read
        self._written |= written
        return [_BARRIER] if meets else []

    # --- Statements -------------------------------------------------------------------------------

    def _statement(self, s: Statement, inside: frozenset[str], types: dict[str, str]) -> list[str]:
        expressions = self._thread.expressions
        match s:
            case Store(array=array, indices=indices, value=value):
                before, value = self._thread.reductions(value, self._reduction)
                target = expressions.access(array, indices)
                stored = f"{target} = {expressions.text(value)};"
                return [*before, "if (threadIdx.x == 0)", *indented([stored])]
            case Assign(name=name, value=value) | Define(name=name, value=value):
                before, value = self._thread.reductions(value, self._reduction)
                return [*before, f"{name} = {expressions.text(value)};"]
            case Nest(ranges=ranges, body=body):
                heads = [*map(range_head, ranges[:-1]), _by_thread(ranges[-1])]
                return nested(heads, self._thread.scope(body))
            case Loop() if (sums := self._shared_sums(s, inside)) is not None:
                return self._sums(s, sums)
            case Loop():
                lines = self._inner(s.body, inside, types, set())
                return nested([self._thread.loop_head(s)], [_BARRIER, *lines])
            case If():
                before, condition = self._thread.reductions(s.condition, self._reduction)
                tested = {e.array for e in walk.expressions(s.condition) if isinstance(e, Load)}
                lines = [*before, f"if ({expressions.text(condition)}) {{"]
                lines += indented(self._inner(s.body, inside, types, tested))
                if s.orelse:
                    lines += ["} else {", *indented(self._inner(s.orelse, inside, types, tested))]
                return [*lines, "}"]
            case _:
                raise AssertionError(s)

    def _inner(
        self, body: Body, inside: frozenset[str], types: dict[str, str], read: set[str]
    ) -> list[str]:
        """A block that may be left out; `read` is what threads have read on the way into it."""
        outside = self._read, self._written
        self._read, self._written = {self._memory(a) for a in read}, set()
        lines = self._block(body, mentioned(inside, body), types)
        self._read, self._written = outside
        return lines

    def _reduction(self, r: Reduce) -> tuple[list[str], Variable]:
        """A reduction by all threads of the block."""
        kept = self._thread.accumulator(r)
        expressions = self._thread.expressions
        before, value = self._thread.reductions(r.body)
        lines = [f"{kept.kind} {kept.name} = {expressions.text(kept.start)};"]
        step = kept.step(expressions.text(value))
        lines += nested(self._reduction_heads(r.ranges), [*before, step])
        end, name = kept.end(across_block(kept, expressions.functions))
        return [*lines, *end], Variable(name, r.dtype)

    def _reduction_heads(self, ranges: tuple[Range, ...]) -> list[str]:
        *outer, last = ranges
        if self._part is None:
            return [*map(range_head, outer), _by_thread(last)]
        if not outer:
            return [range_head(last, f"{self._part} * {ROW} + threadIdx.x", f"{PARTS} * {ROW}")]
        return [
            range_head(outer[0], self._part, PARTS),
            *map(range_head, outer[1:]),
            _by_thread(last),
        ]

    def _shared_sums(self, loop: Loop, inside: frozenset[str]) -> dict[str, Expression] | None:
        """What threads may add up in parts; nothing but the sums may be used afterwards."""
        sums = sums_of(loop)
        if sums is None or not self._reorder:
            return None
        assigned = {s.name for s in loop.body if isinstance(s, Assign)}
        return sums if assigned <= inside | set(sums) else None

    def _sums(self, loop: Loop, sums: Mapping[str, Expression]) -> list[str]:
        """A loop of sums, of which each thread takes a share."""
        shares = {
            name: self._thread.accumulator(Reduce(Reduction.SUM, (), addend, addend.dtype))
            for name, addend in sums.items()
        }
        expressions = self._thread.expressions
        lines = [f"{s.kind} {s.name} = {expressions.text(s.start)};" for s in shares.values()]
        temporaries = tuple(s for s in loop.body if isinstance(s, Assign) and s.name not in sums)
        body = self._thread.scope(temporaries)
        body += [s.step(expressions.text(sums[name])) for name, s in shares.items()]
        start, stop = expressions.text(loop.start), expressions.text(loop.stop)
        head = f"for (int64_t {loop.name} = {start} + threadIdx.x; {loop.name} < {stop}; "
        lines += nested([f"{head}{loop.name} += {ROW})"], body)
        for name, share in shares.items():
            end, result = share.end(across_block(share, expressions.functions))
            total = Variable(name, sums[name].dtype)
            added = Apply(Op.ADD, (total, Variable(result, total.dtype)), total.dtype)
            lines += [*end, f"{name} = {expressions.text(added)};"]
        return lines


def _by_thread(r: Range) -> str:
    return range_head(r, "threadIdx.x", ROW)


def _together(body: Body) -> list[Statement]:
    """Statements that all threads reach together."""
    found: list[Statement] = []
    for s in body:
        found.append(s)
        if isinstance(s, If) or (isinstance(s, Loop) and sums_of(s) is None):
            for block in walk.blocks(s):
                found += _together(block)
    return found


def _has_shared_work(body: Body, *, reorder: bool) -> bool:
    parts = _together(body)
    return any(
        isinstance(s, Nest)
        or (reorder and isinstance(s, Loop) and sums_of(s) is not None and not _is_short(s))
        for s in parts
    ) or bool(_reductions(parts))


def _is_short(loop: Loop) -> bool:
    """Whether a loop has too few rounds for the threads of a block to share them."""
    match loop.start, loop.stop:
        case Constant(value=start), Constant(value=stop):
            return (stop - start).real < _WARP
        case _:
            return False


def _reductions(body: list[Statement]) -> list[Reduce]:
    return [
        e
        for s in body
        for own in walk.own_expressions(s)
        for e in walk.expressions(own)
        if isinstance(e, Reduce)
    ]


def _loaded(body: Body) -> set[str]:
    return {load.array for load in walk.loads(body)}


def _stored(body: Body) -> set[str]:
    return {store.array for store in walk.stores(body)}
