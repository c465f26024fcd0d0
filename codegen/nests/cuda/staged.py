"""Kernels of nests whose sums take their operands from shared memory (see `staging.py`).

All threads of a block go through the outer loops together, for the sake of the barriers. Those that
have no iteration of their own bring operands, and compute nothing. Where only some of a thread's
iterations are there, the others sum the operands of the last one up from zero, and store nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from outpace.codegen.cuda.limits import MOST_SHARED
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.cuda.expressions import cuda_type
from outpace.codegen.nests.cuda.functions import CUDA_TYPES
from outpace.codegen.nests.cuda.grids import Grid, Host, blocks_of
from outpace.codegen.nests.cuda.parameters import BLOCK, BLOCK_X, BLOCK_Y, ITEMS, STAGED
from outpace.codegen.nests.cuda.reductions import Accumulator
from outpace.codegen.nests.cuda.staging import Axis, Operand, Staging
from outpace.codegen.nests.cuda.threads import Thread, indented, nested, range_head
from outpace.codegen.nests.ir import (
    Array,
    Expression,
    Load,
    Loop,
    Position,
    Range,
    Reduce,
    Statement,
    Variable,
)

NAMES = frozenset(
    {"at", "cell", "column", "count", "depth", "first_x", "first_y", "here_x", "here_y",
     "item", "row", "shared_bytes", "start", "thread"}
)  # fmt: skip
"""Names in the text below."""
_BARRIER = "__syncthreads();"


@dataclass(frozen=True)
class _Staged:
    """An operand in shared memory."""

    name: str
    operand: Operand
    kind: str
    bytes: int


class StagedWriter:
    """Writes such a kernel.

    Args:
        staging: The nest.
        thread: Writes what each thread does by itself.
        arrays: By name; takes those in shared memory.
        host: Writes an integer for the launch plan.
        prefix: Begins the names of arrays of the kernel's own.
    """

    def __init__(
        self, staging: Staging, thread: Thread, arrays: dict[str, Array], host: Host, prefix: str
    ) -> None:
        self._staging = staging
        self._thread = thread
        self._host = host
        self._prefix = prefix
        self._is_flat = len(staging.nest.ranges) == 1
        self._rows = f"({BLOCK if self._is_flat else BLOCK_Y} * {ITEMS})"
        self._threads = BLOCK if self._is_flat else f"({BLOCK_X} * {BLOCK_Y})"
        self._staged: list[_Staged] = []
        sizes = [np.dtype(o.load.dtype).itemsize for o in staging.operands]
        # The largest first, so that each is aligned where the one before it ends.
        order = sorted(range(len(sizes)), key=lambda k: -sizes[k])
        for k in order:
            operand = staging.operands[k]
            name = f"{prefix}{k}"
            arrays[name] = Array(name, operand.load.dtype, (affine.ONE,))
            kind = CUDA_TYPES[operand.load.dtype]
            self._staged.append(_Staged(name, operand, kind, sizes[k]))

    @property
    def constraint(self) -> str:
        """What must hold, so that what is staged fits into the shared memory of a block."""
        return f"{self._bytes(len(self._staged), STAGED)} <= {MOST_SHARED}"

    def grid(self) -> Grid:
        """Blocks, each for a part of the last two ranges."""
        *outer, x = self._staging.nest.ranges
        heads = []
        if self._is_flat:
            grid = blocks_of(outer, [(x, self._rows)], self._host)
        else:
            *outer, y = outer
            grid = blocks_of(outer, [(x, BLOCK_X), (y, self._rows)], self._host)
            heads = [_part(y, "y", self._rows)]
        heads.append(_part(x, "x", self._rows if self._is_flat else BLOCK_X))
        return replace(
            grid,
            heads=(*grid.heads, *heads),
            block=(BLOCK,) if self._is_flat else (BLOCK_X, BLOCK_Y),
            threads=BLOCK if self._is_flat else f"{BLOCK_X} * {BLOCK_Y}",
            choices=frozenset({STAGED, ITEMS, *([BLOCK] if self._is_flat else [BLOCK_X, BLOCK_Y])}),
            shared=self._bytes(len(self._staged), STAGED),
        )

    def body(self) -> list[str]:
        """The statements of the kernel."""
        place = "threadIdx.x" if self._is_flat else f"threadIdx.y * {BLOCK_X} + threadIdx.x"
        lines = [
            f"constexpr int depth = {STAGED} > 0 ? {STAGED} : 1;",
            f"const int thread = {place};",
            "extern __shared__ __align__(16) unsigned char shared_bytes[];",
        ]
        for k, s in enumerate(self._staged):
            start = f"shared_bytes + {self._bytes(k, 'depth')}" if k else "shared_bytes"
            start = f"({start})" if k else start
            lines.append(f"{s.kind} *const {s.name} = ({s.kind} *){start};")
        return [*lines, *self.grid().around(self._inside())]

    # --- Parts ------------------------------------------------------------------------------------

    def _cells(self, axis: Axis, depth: str) -> str:
        """How many elements of an operand are staged at once, and some that keep banks apart."""
        match axis:
            case Axis.NONE:
                return depth
            case Axis.Y:
                return f"{self._rows} * ({depth} + 1)"
            case Axis.X:
                return f"{depth} * ({BLOCK_X} + 1)"

    def _bytes(self, count: int, depth: str) -> str:
        """Bytes of the first so many operands."""
        parts = [f"{self._cells(s.operand.axis, depth)} * {s.bytes}" for s in self._staged[:count]]
        return " + ".join(parts)

    def _inside(self) -> list[str]:
        staging, thread = self._staging, self._thread
        carried = [(name, cuda_type(dtype)) for name, dtype in staging.carried.items()]
        kept = None if staging.reduce is None else thread.accumulator(staging.reduce)
        if kept is not None:
            carried.append((kept.name, kept.kind))
        given = frozenset(staging.carried)
        first = thread.scope(staging.before, given)
        if kept is not None:
            first.append(f"{kept.name} = {thread.expressions.text(kept.start)};")
        step = self._step(kept, given)
        after: tuple[Statement, ...] = staging.after
        end: list[str] = []
        if kept is not None:
            end, name = kept.end()
            after = (_with_result(staging.core, Variable(name, kept.reduce.dtype)), *after)
        return [
            *(f"{kind} {self._held(name)}[{ITEMS}] = {{}};" for name, kind in carried),
            *(self._over_items(carried, self._where_there(first)) if first else []),
            *self._rounds(self._over_items(carried, step)),
            *self._over_items(carried, self._where_there([*end, *thread.scope(after, given)])),
        ]

    def _where_there(self, body: list[str]) -> list[str]:
        """A body for the iterations that there are; its elements may be what others write."""
        return [f"if ({self._is_there('here_{a}')}) {{", *indented(body), "}"]

    def _held(self, name: str) -> str:
        """The array that holds a scalar of each of the thread's iterations."""
        return f"{self._prefix}_of_{name}"

    def _over_items(self, carried: list[tuple[str, str]], body: list[str]) -> list[str]:
        """A body for each iteration of a thread."""
        references = [f"{kind} &{name} = {self._held(name)}[item];" for name, kind in carried]
        head = f"#pragma unroll\nfor (int item = 0; item < {ITEMS}; item++)"
        return nested([head], [*references, *self._indices(), *body])

    def _indices(self) -> list[str]:
        """The indices of an iteration; those of the last one where there is none."""
        *_, x = self._staging.nest.ranges
        if self._is_flat:
            return [f"const int64_t here_x = first_x + item * {BLOCK} + threadIdx.x;", _last(x)]
        y = self._staging.nest.ranges[-2]
        return [
            "const int64_t here_x = first_x + threadIdx.x;",
            f"const int64_t here_y = first_y + item * {BLOCK_Y} + threadIdx.y;",
            _last(x),
            _last(y, "y"),
        ]

    def _is_there(self, place: str) -> str:
        """Whether there is such an iteration.

        Args:
            place: Its index along an axis, which `{a}` stands for.
        """
        ranges = self._staging.nest.ranges[-1:-3:-1]
        tests = (f"{place} < {_text(r)}".format(a=a) for a, r in zip("xy", ranges, strict=False))
        return " && ".join(tests)

    def _rounds(self, step: list[str]) -> list[str]:
        """All rounds of the sum, so many at a time."""
        core, reduce = self._staging.core, self._staging.reduce
        text = self._thread.expressions.text
        outer: list[str] = []
        if isinstance(core, Loop):
            name, start, stop = core.name, text(core.start), text(core.stop)
        else:
            assert reduce is not None
            *around, innermost = reduce.ranges
            outer = [range_head(r) for r in around]
            name, start, stop = innermost.name, "0", _text(innermost)
        fill = [line for s in self._staged for line in self._fill(s, name)]
        count = f"{stop} - start < depth ? (int)({stop} - start) : depth"
        rounds = nested(
            [
                f"if ({self._is_there('first_{a} + threadIdx.{a}')})",
                "for (int at = 0; at < count; at++)",
            ],
            [f"const int64_t {name} = start + at;", *step],
        )
        return nested(
            [*outer, f"for (int64_t start = {start}; start < {stop}; start += depth)"],
            [f"const int count = {count};", _BARRIER, *fill, _BARRIER, *rounds],
        )

    def _fill(self, s: _Staged, name: str) -> list[str]:
        """One operand brought to shared memory by all threads."""
        load, axis = s.operand.load, s.operand.axis
        element = self._thread.expressions.access(load.array, load.indices)
        here = f"const int64_t {name} = start + at;"
        if axis is Axis.NONE:
            head = f"for (int at = thread; at < count; at += {self._threads})"
            return nested([head], [here, f"{s.name}[at] = {element};"])
        which, wide = ("row", self._rows) if axis is Axis.Y else ("column", BLOCK_X)
        r = self._staging.nest.ranges[-2 if axis is Axis.Y else -1]
        along, across = ("%", "/") if s.operand.is_along else ("/", "%")
        by = "depth" if s.operand.is_along else wide
        place = "row * (depth + 1) + at" if axis is Axis.Y else f"at * ({BLOCK_X} + 1) + column"
        body = [
            f"const int at = cell {along} {by}, {which} = cell {across} {by};",
            here,
            f"const int64_t {r.name} = first_{axis.value} + {which};",
            f"if (at < count && {r.name} < {_text(r)})",
            *indented([f"{s.name}[{place}] = {element};"]),
        ]
        head = f"for (int cell = thread; cell < {wide} * depth; cell += {self._threads})"
        return nested([head], body)

    def _step(self, kept: Accumulator | None, given: frozenset[str]) -> list[str]:
        """One round for one iteration."""
        thread, ranges = self._thread, self._staging.nest.ranges
        places = []
        for s in self._staged:
            match s.operand.axis:
                case Axis.Y:
                    place = f"(int)({ranges[-2].name} - first_y) * (depth + 1) + at"
                case Axis.X:
                    place = f"at * ({BLOCK_X} + 1) + (int)({ranges[-1].name} - first_x)"
                case _:
                    continue
            places.append(f"const int {s.name}_at = {place};")
        core = self._staging.core
        if kept is None:
            assert isinstance(core, Loop)
            return [*places, *thread.scope(walk.with_expressions(core.body, self._moved), given)]
        before, value = thread.reductions(walk.rewritten(kept.reduce.body, self._moved))
        return [*places, *before, kept.step(thread.expressions.text(value))]

    def _moved(self, e: Expression) -> Expression:
        """A part of the sum, which finds its operands in shared memory."""
        for s in self._staged:
            if e == s.operand.load:
                place = "at" if s.operand.axis is Axis.NONE else f"{s.name}_at"
                return Load(s.name, (Position(affine.symbol(place)),), s.operand.load.dtype)
        return e


def _part(r: Range, axis: str, width: str) -> str:
    """The loop over the parts of a range that fall to a block."""
    first = f"(int64_t)blockIdx.{axis} * {width}"
    return range_head(replace(r, name=f"first_{axis}"), first, f"(int64_t)gridDim.{axis} * {width}")


def _last(r: Range, axis: str = "x") -> str:
    """An index that stays at the last one where there is none."""
    extent = _text(r)
    here = f"here_{axis}"
    return f"const int64_t {r.name} = {here} < {extent} ? {here} : {extent} - 1;"


def _text(r: Range) -> str:
    text = affine.text(r.extent).replace("*", " * ")
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def _with_result(s: Statement, result: Variable) -> Statement:
    """The statement with its reduction replaced."""

    def change(e: Expression) -> Expression:
        return result if isinstance(e, Reduce) else e

    (changed,) = walk.with_expressions((s,), change)
    return changed
