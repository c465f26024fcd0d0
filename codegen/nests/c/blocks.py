"""Statements of the intermediate representation in C."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import Enum

import numpy as np

from outpace.codegen.c_signature import C_TYPES
from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine, dependence, walk
from outpace.codegen.nests.c.expressions import Expressions, Functions, c_type
from outpace.codegen.nests.c.loops import loop_head
from outpace.codegen.nests.c.parameters import ACCUMULATOR, COLUMNS, LINES, PARALLEL, ROWS, TIME
from outpace.codegen.nests.c.products import product_lines, written
from outpace.codegen.nests.c.reductions import CLAUSES, start_of, step_lines
from outpace.codegen.nests.c.scopes import assigned_in, homes, mentioned, times_assigned
from outpace.codegen.nests.c.strips import WIDTHS, strip_lines, with_arrays
from outpace.codegen.nests.c.teams import team_loops
from outpace.codegen.nests.c.tiles import TileWriter
from outpace.codegen.nests.c.waves import WAVES_END, wave_lines
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
    Load,
    Loop,
    Nest,
    Program,
    Range,
    Rebind,
    Reduce,
    Reduction,
    Reshape,
    Statement,
    Store,
    Variable,
    While,
)
from outpace.codegen.nests.rewriting.strips import Strip, lanes_of, strip_of
from outpace.codegen.nests.rewriting.tiles import Tile, tile_of
from outpace.codegen.nests.rewriting.waves import Wave, wave_of
from outpace.errors import NotLifted

Body = tuple[Statement, ...]
_TAB = "    "


class Place(Enum):
    """Who executes a statement."""

    OUTSIDE = "the calling thread, before or after all parallel regions"
    TEAM = "every thread of a parallel region"
    ALONE = "one thread of its own accord"


class Blocks:
    """Writes the body of a kernel.

    Args:
        program: With names that C takes.
        functions: Collects the functions that are used.
        reorder: Whether floats may be summed in another order.
    """

    def __init__(self, program: Program, functions: Functions, *, reorder: bool) -> None:
        self.choices: set[str] = set()
        """Macros that were used."""
        self.lane_arrays: dict[str, Array] = {}
        """Arrays that have an axis for the lanes of a strip."""
        self._program = program
        self._expressions = Expressions(functions)
        self._reorder = reorder
        self._teams = team_loops(program)
        self._aliases = dependence.aliases(program.body)
        self._arrays = {p.name: p for p in program.parameters if isinstance(p, Array)}
        self._arrays |= {
            s.array.name: s.array
            for s in walk.statements(program.body)
            if isinstance(s, Allocate | Reshape)
        }
        self._rebound = {
            name
            for s in walk.statements(program.body)
            if isinstance(s, Rebind)
            for name in (*s.targets, *s.sources)
        }
        self._written = written(program.body) | self._rebound
        self._dims = {s.name for s in program.sizes} | set(WIDTHS.values())
        self._worth_threads = walk.worth_threads(program.body)
        self._prefix = walk.unused_prefix(program, "acc")
        self._next = walk.unused_prefix(program, "next_")
        self._last = walk.unused_prefix(program, "last_")
        self._pitch = walk.unused_prefix(program, "pitch")
        self._owner = walk.unused_prefix(program, "memory_of_")
        self._count = 0
        self._constants: set[str] = set()

    def function(self) -> list[str]:
        """The body of the function."""
        return self._scope(self._program.body, Place.OUTSIDE)

    # --- Blocks -----------------------------------------------------------------------------------

    def _scope(self, body: Body, place: Place) -> list[str]:
        """A block with scalars of its own."""
        types = assigned_in(body)
        counts = times_assigned(body)
        once = {name for name in types if counts[name] == 1}
        outer, self._constants = self._constants, once
        lines = self._block(body, frozenset(types), types, place)
        self._constants = outer
        return lines

    def _block(
        self, body: Body, names: frozenset[str], types: dict[str, str], place: Place
    ) -> list[str]:
        """A block that declares these names."""
        found = homes(body, names)
        lines = [f"{c_type(types[name])} {name};" for name in found.first]
        made: list[str] = []
        pending: list[Statement] = []  # of a team: done by one thread, before all go on
        for k, s in enumerate(body):
            if place is Place.TEAM and self._is_small(s):
                pending.append(s)
                continue
            lines += self._single(pending)
            pending = []
            inside = found.within.get(k, frozenset())
            written = self._statement(s, inside, types, place)
            if k in found.inline:
                const = "const " if found.inline[k] in self._constants else ""
                written[-1] = f"{const}{c_type(types[found.inline[k]])} {written[-1]}"
            lines += written
            if isinstance(s, Allocate):
                made.append(s.array.name)
        lines += self._single(pending)
        if made and _leaves(body):
            raise NotLifted("an array made in a loop that is left early, in C")
        lines += [f"free({self._memory(name)});" for name in made]
        return [_TAB + line for line in lines]

    def _is_small(self, s: Statement) -> bool:
        """Whether one thread does this faster than several."""
        if isinstance(s, Nest) and lanes_of(s) is not None:
            return False
        return isinstance(s, Store) or (isinstance(s, Nest) and walk.depth(s) < self._worth_threads)

    def _single(self, body: Sequence[Statement]) -> list[str]:
        if not body:
            return []
        lines = [line for s in body for line in self._statement(s, frozenset(), {}, Place.ALONE)]
        return ["#pragma omp single", "{", *(_TAB + line for line in lines), "}"]

    def _statement(  # noqa: PLR0911  (a dispatch)
        self, s: Statement, inside: frozenset[str], types: dict[str, str], place: Place
    ) -> list[str]:
        match s:
            case Store(array=array, indices=indices, value=value):
                before, value = self._reductions(value, place)
                target = self._expressions.access(array, indices)
                return [*before, f"{target} = {self._expressions.text(value)};"]
            case Assign(name=name, value=value) | Define(name=name, value=value):
                before, value = self._reductions(value, place)
                return [*before, f"{name} = {self._expressions.text(value)};"]
            case Nest():
                return self._nest(s, place)
            case Allocate(array=array):
                return self._allocation(array)
            case Reshape(array=array, base=base):
                return [f"{self._pointer(array)} = {base};"]
            case Rebind():
                return self._rebinding(s)
            case Jump():
                return [f"{s.value};"]
            case Loop() | While() | If():
                return self._control(s, inside, types, place)
            case _:
                return product_lines(s, self._arrays, self._expressions.functions)

    # --- Arrays -----------------------------------------------------------------------------------

    def _pointer(self, array: Array) -> str:
        const = "" if array.name in self._written else "const "
        return f"{const}{C_TYPES[array.dtype]} *{array.name}"

    def _memory(self, name: str) -> str:
        """The pointer that `free` gets, which no renaming changes."""
        return f"{self._owner}{name}" if name in self._rebound else name

    def _allocation(self, array: Array) -> list[str]:
        kind = C_TYPES[array.dtype]
        call = f"scratch({self._count_of(array)}, sizeof({kind}))"
        if array.name not in self._rebound:
            return [f"{kind} *restrict {array.name} = {call};"]
        memory = self._memory(array.name)
        return [f"{kind} *const {memory} = {call};", f"{kind} *{array.name} = {memory};"]

    def _count_of(self, array: Array) -> str:
        """How many elements an array has."""
        return " * ".join(self._extent(n) for n in array.shape) or "1"

    def _extent(self, n: Affine) -> str:
        """An extent; one that may be negative stands for 0."""
        simple = _simple(n)
        is_dim = [c > 0 and (d in self._dims or d.startswith(self._pitch)) for d, c in n.terms]
        if n.constant >= 0 and all(is_dim):
            return simple
        return f"({simple} > 0 ? {simple} : 0)"

    def _rebinding(self, s: Rebind) -> list[str]:
        """New values for pointers, all read before the first is set."""
        lines = []
        for target, source in zip(s.targets, s.sources, strict=True):
            kind = C_TYPES[self._arrays[source].dtype]
            lines.append(f"{kind} *const {self._next}{target} = {source};")
        lines += [f"{target} = {self._next}{target};" for target in s.targets]
        return ["{", *(_TAB + line for line in lines), "}"]

    # --- Control ----------------------------------------------------------------------------------

    def _control(
        self, s: Loop | While | If, inside: frozenset[str], types: dict[str, str], place: Place
    ) -> list[str]:
        if isinstance(s, Loop) and place is not Place.ALONE:
            wave = wave_of(s, self._aliases)
            if wave is not None:
                return self._wave(s, wave, inside, types, place)
        return self._loop(s, inside, types, place)

    def _loop(
        self, s: Loop | While | If, inside: frozenset[str], types: dict[str, str], place: Place
    ) -> list[str]:
        if id(s) in self._teams and place is Place.OUTSIDE and isinstance(s, Loop):
            return self._team(s)
        match s:
            case Loop():
                head = self._loop_head(s)
            case While(condition=condition):
                head = f"while ({self._expressions.text(condition)})"
            case If(condition=condition):
                before, condition = self._reductions(condition, place)
                lines = [*before, f"if ({self._expressions.text(condition)}) {{"]
                lines += self._block(s.body, mentioned(inside, s.body), types, place)
                if s.orelse:
                    lines += ["} else {"]
                    lines += self._block(s.orelse, mentioned(inside, s.orelse), types, place)
                return [*lines, "}"]
        return [f"{head} {{", *self._block(s.body, inside, types, place), "}"]

    def _wave(
        self, s: Loop, wave: Wave, inside: frozenset[str], types: dict[str, str], place: Place
    ) -> list[str]:
        """A loop as a wave."""
        self.choices |= {PARALLEL, TIME} | ({LINES} if wave.lines else set())
        self._loop_head(s)  # refuses what may change while it runs
        start, stop = (self._expressions.text(e) for e in (s.start, s.stop))
        rest: list[str] = []
        if wave.steps > 1:
            rest = self._loop(replace(s, start=Variable(WAVES_END, "int64")), inside, types, place)
        return wave_lines(
            s,
            wave,
            (start, stop),
            lambda body: self._scope(body, Place.ALONE),
            rest,
            in_team=place is Place.TEAM,
        )

    def _loop_head(self, s: Loop) -> str:
        return loop_head(s, self._expressions.text, "C")

    def _team(self, loop: Loop) -> list[str]:
        """A loop as one parallel region; pointers that it renames are handed out of it."""
        self.choices.add(PARALLEL)
        moved = sorted(
            {n for s in walk.statements([loop]) if isinstance(s, Rebind) for n in s.targets}
        )
        own = f" firstprivate({', '.join(moved)})" if moved else ""
        outside = [f"{C_TYPES[self._arrays[n].dtype]} *{self._last}{n} = {n};" for n in moved]
        handed = [f"{self._last}{n} = {n};" for n in moved]
        if handed:
            handed = ["#pragma omp master", "{", *(_TAB + line for line in handed), "}"]
        return [
            *outside,
            f"#pragma omp parallel if ({PARALLEL}){own}",
            "{",
            *self._scope((replace(loop),), Place.TEAM),
            *(_TAB + line for line in handed),
            "}",
            *(f"{n} = {self._last}{n};" for n in moved),
        ]

    # --- Nests ------------------------------------------------------------------------------------

    def _nest(self, nest: Nest, place: Place) -> list[str]:
        tile = tile_of(nest)
        if tile is not None:
            return self._tiles(nest, tile, place)
        strip = strip_of(nest, WIDTHS, self._pitch)
        if strip is not None:
            return self._strips(strip, place)
        lines: list[str] = []
        last = len(nest.ranges) - 1
        for depth, r in enumerate(nest.ranges):
            pragma = self._sharing(nest, place) if depth == 0 else []
            if depth == last and _is_straight(nest.body):
                pragma = [_with_simd(p) for p in pragma] or ["simd"]
            pad = _TAB * depth
            lines += [f"{pad}#pragma omp {p}" for p in pragma]
            lines.append(f"{pad}{_range_head(r)} {{")
        lines += [_TAB * last + line for line in self._scope(nest.body, Place.ALONE)]
        return [*lines, *(_TAB * depth + "}" for depth in range(last, -1, -1))]

    def _sharing(self, nest: Nest, place: Place) -> list[str]:
        """What makes threads share the first ranges of a nest, if that pays."""
        shared = "for schedule(static)" + _collapsed(nest)
        if place is Place.TEAM:
            return [shared]
        if place is Place.ALONE or walk.depth(nest) < self._worth_threads:
            return []
        self.choices.add(PARALLEL)
        return [f"parallel {shared} if (parallel : {PARALLEL})"]

    def _tiles(self, nest: Nest, tile: Tile, place: Place) -> list[str]:
        """A nest of sums by tiles."""
        self.choices |= {COLUMNS} | ({ROWS} if tile.rows is not None else set())
        heads = [_range_head(r) for r in tile.outer]
        if tile.rows is not None:
            heads.append(
                _range_head(tile.rows).replace(f"{tile.rows.name}++", f"{tile.rows.name} += {ROWS}")
            )
        kind = self._accumulator(tile.total)
        lines = TileWriter(tile, self._expressions, kind, _range_head).lines()
        for head in reversed(heads):
            lines = [f"{head} {{", *(_TAB + line for line in lines), "}"]
        pragmas = [f"#pragma omp {p}" for p in self._sharing(nest, place)] if heads else []
        if not heads and place is Place.TEAM:
            pragmas = ["#pragma omp single"]
        return [*pragmas, *(lines if heads else ["{", *(_TAB + line for line in lines), "}"])]

    def _strips(self, strip: Strip, place: Place) -> list[str]:
        """A nest of loops by strips; each thread has arrays of its own."""
        width = WIDTHS[strip.kind]
        self.choices.add(width)
        self.lane_arrays |= {a.name: a for a in (*strip.arrays, *strip.carried)}
        lines = strip_lines(
            strip,
            width,
            _simple(strip.lanes.extent),
            lambda body: self._scope(body, Place.ALONE),
            self._loop_head,
        )
        for r in reversed(strip.outer):
            lines = [f"{_range_head(r)} {{", *(_TAB + line for line in lines), "}"]
        if place is not Place.ALONE:
            collapsed = f" collapse({len(strip.outer) + 1})" if strip.outer else ""
            lines = [f"#pragma omp for schedule(static){collapsed}", *lines]
        lines = with_arrays(strip, self._count_of, lines)
        if place is not Place.OUTSIDE:
            return lines
        self.choices.add(PARALLEL)
        return [f"#pragma omp parallel if ({PARALLEL})", *lines]

    # --- Reductions -------------------------------------------------------------------------------

    def _reductions(self, e: Expression, place: Place) -> tuple[list[str], Expression]:
        """Loops that compute the reductions in an expression, and the expression without them."""
        lines: list[str] = []

        def outermost(part: Expression) -> Expression:
            if isinstance(part, Reduce):
                name = f"{self._prefix}{self._count}"
                self._count += 1
                lines.extend(self._reduction(name, part, place))
                return Variable(name, part.dtype)
            return _with_parts(part, outermost)

        return lines, outermost(e)

    def _reduction(self, name: str, r: Reduce, place: Place) -> list[str]:
        kind = self._accumulator(r)
        is_extreme = r.kind in (Reduction.MAX, Reduction.MIN)
        has_nan = is_extreme and r.dtype.startswith("float")
        start = self._expressions.text(start_of(r.kind, r.dtype))
        before, value = self._reductions(r.body, Place.ALONE)
        step = step_lines(name, r.kind, self._expressions.text(value), c_type(r.dtype), nan=has_nan)
        lines = [f"{kind} {name} = {start};"]
        flag = "int32_t" if r.dtype == "float32" else "int64_t"  # vectors as wide as the values
        lines += [f"{flag} {name}_nan = 0;"] if has_nan else []
        combined = self._clause(name, r, has_nan=has_nan)
        last = len(r.ranges) - 1
        threads = place is Place.OUTSIDE and len(r.ranges) >= self._worth_threads and combined
        for depth, inner in enumerate(r.ranges):
            pragma = ""
            if depth == 0 and threads:
                self.choices.add(PARALLEL)
                pragma = f"parallel for schedule(static) if (parallel : {PARALLEL})"
            if depth == last and combined and not before and not r.dtype.startswith("complex"):
                pragma = _with_simd(pragma) if pragma else "simd"
            if pragma:
                lines.append(f"{_TAB * depth}#pragma omp {pragma}{combined}")
            lines.append(f"{_TAB * depth}{_range_head(inner)} {{")
        lines += [_TAB * len(r.ranges) + line for line in (*before, *step)]
        lines += [_TAB * depth + "}" for depth in range(last, -1, -1)]
        return [*lines, *([f"if ({name}_nan)", f"{_TAB}{name} = NAN;"] if has_nan else [])]

    def _accumulator(self, r: Reduce) -> str:
        """Type in which a reduction is kept."""
        if r.kind is Reduction.SUM and r.dtype == "float32":
            self.choices.add(ACCUMULATOR)
            return ACCUMULATOR
        return c_type(r.dtype)

    def _clause(self, name: str, r: Reduce, *, has_nan: bool) -> str:
        """How OpenMP combines parts of a reduction; nothing where it must be kept in order."""
        is_inexact = np.dtype(r.dtype).kind in "fc" and r.kind in (Reduction.SUM, Reduction.PROD)
        if is_inexact and not self._reorder:
            return ""
        clause = f" reduction({CLAUSES[r.kind]} : {name})"
        return f"{clause} reduction(| : {name}_nan)" if has_nan else clause


def _with_parts(e: Expression, change: walk.Rewrite) -> Expression:
    """The expression with `change` applied to its operands."""
    match e:
        case Load(indices=indices):
            return replace(e, indices=tuple(change(i) for i in indices))
        case Apply(operands=operands):
            return replace(e, operands=tuple(change(o) for o in operands))
        case Cast(operand=operand):
            return replace(e, operand=change(operand))
        case _:
            return e


def _simple(n: Affine) -> str:
    """An affine expression that may be an operand."""
    text = affine.text(n).replace("*", " * ")
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def _range_head(r: Range) -> str:
    extent = affine.text(r.extent).replace("*", " * ")
    return f"for (int64_t {r.name} = 0; {r.name} < {extent}; {r.name}++)"


def _collapsed(nest: Nest) -> str:
    """Threads share several ranges where there are more than space has; the first may be short."""
    count = len(nest.ranges) - (2 if _is_straight(nest.body) else 1)
    names = {r.name for r in nest.ranges}
    slanted = any(set(r.extent.names) & names for r in nest.ranges)
    return "" if count < 2 or slanted or tile_of(nest) is not None else f" collapse({count})"


def _with_simd(pragma: str) -> str:
    """A worksharing loop that is vectorised too."""
    return pragma.replace("for ", "for simd ", 1)


def _leaves(body: Body) -> bool:
    """Whether a jump leaves this block before its end."""
    return any(
        isinstance(s, Jump)
        or (not isinstance(s, Loop | While) and any(_leaves(block) for block in walk.blocks(s)))
        for s in body
    )


def _is_straight(body: Iterable[Statement]) -> bool:
    """Whether there is no loop inside."""
    return not any(
        isinstance(s, Nest | Loop | While | Allocate | Jump)
        or any(
            isinstance(e, Reduce) for own in walk.own_expressions(s) for e in walk.expressions(own)
        )
        for s in walk.statements(body)
    )
