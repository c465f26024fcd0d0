"""The steps of a launch plan for the statements outside nests, and the kernels they launch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from outpace.codegen.cuda.plan import (
    BufferPlan,
    CopyStep,
    LaunchPlan,
    LaunchStep,
    RepeatStep,
    Step,
    SwapStep,
    WhenStep,
)
from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.cuda.expressions import DeviceExpressions, DeviceFunctions, cuda_type
from outpace.codegen.nests.cuda.grids import Grid, points, rows
from outpace.codegen.nests.cuda.host import affine_text, condition_text, integer_text
from outpace.codegen.nests.cuda.kernels import Signatures
from outpace.codegen.nests.cuda.memory import Memory, exchanges
from outpace.codegen.nests.cuda.parameters import PARTS, STAGED, TIME
from outpace.codegen.nests.cuda.reductions import is_inexact
from outpace.codegen.nests.cuda.rows import Row, suits_rows
from outpace.codegen.nests.cuda.scalars import Scalars
from outpace.codegen.nests.cuda.staged import StagedWriter
from outpace.codegen.nests.cuda.staging import Staging, staging_of
from outpace.codegen.nests.cuda.stencils import Stencil, stencil_of
from outpace.codegen.nests.cuda.threads import Thread, indented
from outpace.codegen.nests.cuda.tiles import Tiles
from outpace.codegen.nests.cuda.vectors import VectorWriter, lanes_of
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Assign,
    Cast,
    Define,
    Expression,
    If,
    Jump,
    Library,
    Load,
    Loop,
    Nest,
    Position,
    Program,
    Range,
    Rebind,
    Reduce,
    Reduction,
    Reshape,
    Statement,
    Store,
    While,
)
from outpace.errors import NotLifted
from outpace.model import Contract

Body = tuple[Statement, ...]


class Steps:
    """Writes the plan and the kernels.

    Args:
        program: With names that CUDA takes.
        contract: Of the reference.
        rows: Whether a block may do one iteration of a nest.
        reorder: Whether floats may be summed in another order.
    """

    def __init__(self, program: Program, contract: Contract, *, rows: bool, reorder: bool) -> None:
        self.functions = DeviceFunctions()
        self.choices: set[str] = set()
        """Macros that were used."""
        self.kernels: list[str] = []
        """Source of each, in the order of their first launch."""
        self.constraints: list[str] = []
        """What must hold of the macros besides."""
        self._named: dict[str, str] = {}
        self._program = program
        self._rows = rows
        self._reorder = reorder
        self._memory = Memory(program, contract)
        taken = {p.name for p in contract.parts} | {name for name, _ in self._memory.buffers}
        fixed = self._memory.never_written(program)
        self._scalars = Scalars(program, contract, taken | set(contract.dims), fixed)
        self._expressions = DeviceExpressions(self.functions, self._memory.arrays)
        cells = walk.unused_prefix(program, "cell_of_")
        self._signatures = Signatures(self._memory, self._scalars, self._expressions, cells)
        self._accumulators = walk.unused_prefix(program, "acc")
        self._part = walk.unused_prefix(program, "part")
        self._spare = walk.unused_prefix(program, "spare")
        self._staged = walk.unused_prefix(program, "staged")
        self._lanes = walk.unused_prefix(program, "lanes")

    def plan(self) -> LaunchPlan:
        """All steps; the kernels are there afterwards."""
        steps = tuple(self._steps(self._program.body))
        known = self._known()
        buffers = []
        for name, array in self._memory.buffers:
            shape = [affine_text(n, known) for n in array.shape]
            if None in shape:
                raise NotLifted(f"an array made in a loop on whose index its shape depends: {name}")
            extents = tuple(f"max(0, {text})" for text in shape)
            buffers.append(BufferPlan(name, array.dtype, extents))
        buffers += [
            BufferPlan(self._signatures.cell(name), dtype, ("1",))
            for name, dtype in self._scalars.cells.items()
        ]
        return LaunchPlan(dict(self._scalars.lets), tuple(buffers), steps)

    # --- Statements -------------------------------------------------------------------------------

    def _steps(self, body: Body) -> list[Step]:
        steps: list[Step] = []
        alone: list[Statement] = []
        for s in body:
            if isinstance(s, Allocate | Reshape) or self._scalars.settle(s):
                continue
            if self._is_shared(s):
                steps += [*self._by_one_thread(tuple(alone)), *self._step(s)]
                alone = []
            else:
                alone.append(s)
        return [*steps, *self._by_one_thread(tuple(alone))]

    def _is_shared(self, s: Statement) -> bool:
        """Whether a statement has parts that many threads may share, or is a matter of the plan."""
        return any(
            isinstance(part, Nest | Rebind | Library | Jump | Allocate | Reshape)
            or any(map(self._may_share, _reductions(part)))
            for part in walk.statements([s])
            if not (isinstance(part, Jump) and _is_inside_loop(s))
        )

    def _may_share(self, r: Reduce) -> bool:
        known = {name for r in r.ranges for name in r.extent.names} <= set(self._scalars.known)
        return known and (self._reorder or not is_inexact(r))

    def _step(self, s: Statement) -> list[Step]:
        match s:
            case Nest():
                return self._nest(s)
            case Store() | Assign() | Define():
                return self._reduced(s)
            case Rebind():
                names = {array: self._memory.name(array) for array in (*s.targets, *s.sources)}
                return [SwapStep(*pair) for pair in exchanges(s, names)]
            case Loop():
                return self._repeated(s)
            case If():
                return self._branches(s)
            case While():
                raise NotLifted("a loop over arrays that ends when their values say so, in CUDA")
            case _:
                raise NotLifted(f"{_called(s)} outside nests in CUDA")

    def _repeated(self, s: Loop) -> list[Step]:
        bounds = [integer_text(e, self._scalars.known) for e in (s.start, s.stop, s.step)]
        first, end, step = bounds
        if first is None or end is None or step is None:
            raise NotLifted("a loop over arrays whose length the launch plan cannot know, in CUDA")
        if walk.scalars_written(s.body) & {s.name}:
            raise NotLifted("a loop that changes its index, in CUDA")
        with self._scalars.block(s.name) as index:
            steps = tuple(self._steps(s.body))
        single: list[Step] = [RepeatStep(index, first, end, step, steps)]
        stencil = self._stencil(s)
        if stencil is None:
            return single
        count = f"max(0, {end})" if first == "0" else f"max(0, ({end}) - ({first}))"
        tiled = (
            RepeatStep(index, "0", f"{count} // {TIME}", "1", (*self._tile(stencil), *steps[1:])),
            RepeatStep(index, "0", f"{count} % {TIME}", "1", steps),
        )
        return [WhenStep(f"{TIME} == 0", tuple(single)), WhenStep(f"{TIME} > 0", tiled)]

    def _stencil(self, s: Loop) -> Stencil | None:
        """The stencil of a time loop that blocks can take several steps of at a time."""
        top = self._program.body
        place = next((k for k, other in enumerate(top) if other is s), None)
        if place is None:
            return None
        stencil = stencil_of(s, top[place + 1 :], self._memory.arrays)
        if stencil is None or any(map(self._memory.is_given, stencil.taking_turns)):
            return None
        return stencil

    def _tile(self, stencil: Stencil) -> list[Step]:
        array, arrays = self._memory.arrays[stencil.old], self._memory.arrays
        spare = f"{self._spare}{len(self.kernels)}"
        for name in ("before", "past"):
            arrays[name] = Array(name, array.dtype, (affine.ONE,))
        if stencil.past is not None:
            self._memory.add(replace(array, name=spare))
        tiles = Tiles(stencil, array, spare, self._thread(), self._host)
        self.constraints += [c for c in tiles.constraints if c not in self.constraints]
        nest = stencil.nest
        body = tiles.body()
        kept = () if stencil.past is None else (replace(stencil.store, array=spare),)
        signature = self._signatures.of((*nest.body, *kept), nest.ranges, extents=array.shape)
        grid = tiles.grid()
        text = signature.text(_NAME, grid.threads, body)
        launch = self._launch("tiles", grid, text, signature.arguments)
        if stencil.past is None:
            return [launch]
        names = self._memory.name(stencil.old), self._memory.name(spare)
        # The array that comes in for the old one must have its values around the stencil.
        return [CopyStep(*names), launch, SwapStep(*names)]

    def _branches(self, s: If) -> list[Step]:
        condition = condition_text(s.condition, self._scalars.known)
        if condition is None:
            raise NotLifted("a branch over arrays that the launch plan cannot decide, in CUDA")
        found: list[Step] = []
        for text, body in ((condition, s.body), (f"not ({condition})", s.orelse)):
            with self._scalars.block():
                steps = tuple(self._steps(body))
            found += [WhenStep(text, steps)] if steps else []
        return found

    # --- Kernels ----------------------------------------------------------------------------------

    def _thread(self) -> Thread:
        return Thread(self._expressions, self._accumulators, self.choices)

    def _launch(self, kind: str, grid: Grid, text: str, arguments: Sequence[str]) -> Step:
        """The launch of a kernel whose name in the text is still to be given, once if equal."""
        name = self._named.get(text)
        if name is None:
            name = self._named[text] = f"{kind}{len(self.kernels)}"
            self.kernels.append(text.replace(_NAME, name, 1))
        self.choices |= grid.choices
        return LaunchStep(name, grid.grid, grid.block, grid.shared, tuple(arguments))

    def _known(self) -> dict[str, str]:
        """Integers of the plan; the number of blocks of a reduction is one that a tuner chooses."""
        return {**self._scalars.known, PARTS: PARTS}

    def _host(self, n: Affine) -> str:
        text = affine_text(n, self._known())
        if text is None:
            raise NotLifted("a nest whose extent the launch plan cannot know, in CUDA")
        return text

    def _nest(self, nest: Nest) -> list[Step]:
        grid = rows(nest.ranges, self._host) if self._rows else None
        if grid is not None and suits_rows(nest.body, reorder=self._reorder):
            return [self._row_launch("rows", grid, nest, None)]
        by_points, staging = self._points(nest), staging_of(nest, self._memory.arrays)
        if staging is None:
            return [by_points]
        staged = self._stage(staging)
        return [WhenStep(f"{STAGED} == 0", (by_points,)), WhenStep(f"{STAGED} > 0", (staged,))]

    def _stage(self, staging: Staging) -> Step:
        """The kernel of a nest that takes operands from shared memory."""
        nest, arrays = staging.nest, self._memory.arrays
        writer = StagedWriter(staging, self._thread(), arrays, self._host, self._staged)
        if writer.constraint not in self.constraints:
            self.constraints.append(writer.constraint)
        signature = self._signatures.of(nest.body, nest.ranges)
        grid = writer.grid()
        text = signature.text(_NAME, grid.threads, writer.body())
        return self._launch("staged", grid, text, signature.arguments)

    def _points(self, nest: Nest) -> Step:
        signature = self._signatures.of(nest.body, nest.ranges)
        lanes = lanes_of(nest, self._memory.arrays, self._memory.aliases)
        grid = points(nest.ranges, self._host, in_vectors=lanes is not None)
        if lanes is None:
            body = grid.around(self._thread().scope(nest.body))
        else:
            writer = VectorWriter(lanes, self._thread(), self._memory.arrays, self._lanes)
            body = [*writer.first(), *grid.around(writer.body())]
        text = signature.text(_NAME, grid.threads, body)
        return self._launch("points", grid, text, signature.arguments)

    def _row_launch(self, kind: str, grid: Grid, nest: Nest, part: str | None) -> Step:
        """A kernel whose blocks do one iteration each."""
        signature = self._signatures.of(nest.body, nest.ranges)
        row = Row(self._thread(), self._memory.aliases, reorder=self._reorder, part=part)
        text = signature.text(_NAME, grid.threads, grid.around(row.scope(nest.body)))
        return self._launch(kind, grid, text, signature.arguments)

    def _by_one_thread(self, body: Body) -> list[Step]:
        """One kernel of one thread for statements that follow each other."""
        if not body:
            return []
        cells, before = self._cells(body)
        signature = self._signatures.of(body, (), cells)
        after = [f"*{self._signatures.cell(name)} = {name};" for name in cells]
        lines = [*before, *self._thread().scope(body, frozenset(cells)), *after]
        grid = Grid((), (), ("1",), ("1",), "1", frozenset())
        text = signature.text(_NAME, grid.threads, lines)
        return [self._launch("alone", grid, text, signature.arguments)]

    def _cells(self, body: Body) -> tuple[dict[str, str], list[str]]:
        """Scalars that statements leave to others, and their declarations."""
        cells = self._scalars.assigned_cells(body)
        lines = []
        for name, dtype in cells.items():
            start = f" = *{self._signatures.cell(name)}" if name in self._scalars.cells else "{}"
            lines.append(f"{cuda_type(dtype)} {name}{start};")
        self._scalars.cells.update(cells)
        return cells, lines

    def _reduced(self, s: Store | Assign | Define) -> list[Step]:
        """A statement with reductions: many blocks find a part of each, then one finds the rest."""
        steps: list[Step] = []

        def parted(e: Expression) -> Expression:
            if not isinstance(e, Reduce):
                return e
            step, rest = self._in_parts(e)
            steps.append(step)
            return rest

        final = replace(s, value=_outermost(s.value, parted))
        cells, before = self._cells((final,))
        signature = self._signatures.of((final,), (), cells)
        grid = rows((), self._host)
        assert grid is not None
        row = Row(self._thread(), self._memory.aliases, reorder=self._reorder)
        lines = [*before, *row.scope((final,), frozenset(cells))]
        if cells:
            after = [f"*{self._signatures.cell(name)} = {name};" for name in cells]
            lines += ["__syncthreads();", "if (threadIdx.x == 0) {", *indented(after), "}"]
        text = signature.text(_NAME, grid.threads, lines)
        return [*steps, self._launch("whole", grid, text, signature.arguments)]

    def _in_parts(self, r: Reduce) -> tuple[Step, Expression]:
        """The launch that finds parts of a reduction, and the reduction of the parts."""
        dtype = "float64" if r.kind is Reduction.SUM and r.dtype == "float32" else r.dtype
        count = affine.symbol(PARTS)
        name = f"{self._part}s_{len(self.kernels)}"
        self._memory.add(Array(name, dtype, (count,)))
        self.choices.add(PARTS)
        index = Position(affine.symbol(self._part))
        body = r.body if dtype == r.dtype else Cast(r.body, dtype)
        store = Store(name, (index,), Reduce(r.kind, r.ranges, body, dtype))
        nest = Nest((Range(self._part, count),), (store,))
        grid = rows(nest.ranges, self._host)
        assert grid is not None
        step = self._row_launch("parts", grid, nest, self._part)
        rest: Expression = Reduce(r.kind, nest.ranges, Load(name, (index,), dtype), dtype)
        return step, rest if dtype == r.dtype else Cast(rest, r.dtype)


_NAME = "@"
"""Stands for the name of a kernel until it has one."""


def _reductions(s: Statement) -> list[Reduce]:
    """Reductions of a statement itself."""
    parts = [e for own in walk.own_expressions(s) for e in walk.expressions(own)]
    return [e for e in parts if isinstance(e, Reduce)]


def _outermost(e: Expression, change: walk.Rewrite) -> Expression:
    """The expression with its outermost reductions changed."""
    if isinstance(e, Reduce):
        return change(e)
    match e:
        case Apply(operands=operands):
            return replace(e, operands=tuple(_outermost(o, change) for o in operands))
        case Cast(operand=operand):
            return replace(e, operand=_outermost(operand, change))
        case Load(indices=indices):
            return replace(e, indices=tuple(_outermost(i, change) for i in indices))
        case _:
            return e


def _is_inside_loop(s: Statement) -> bool:
    """Whether a jump in a statement can stay inside of it."""
    return isinstance(s, Loop | While)


def _called(s: Statement) -> str:
    return type(s).__name__.lower()
