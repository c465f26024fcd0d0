"""Write a program with library calls as a Python function over Numba functions.

NumPy's own BLAS is called from Python, and what lies between two calls becomes a function of its
own for Numba, a *segment*. Loops and branches around library calls stay in Python.
"""

from __future__ import annotations

from collections.abc import Iterable

from outpace.codegen.nests import walk
from outpace.codegen.nests.effects import Effects, effects_of
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Assign,
    Define,
    Expression,
    If,
    Jump,
    Library,
    Load,
    Loop,
    Op,
    Program,
    Rebind,
    Reshape,
    Statement,
    While,
)
from outpace.codegen.nests.numba.emit import NumbaOptions, Writer, decorator, size_text, text
from outpace.codegen.nests.numba.vector_math import vectorisable
from outpace.errors import NotLifted

_PLAIN = frozenset(
    {
        Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.LESS, Op.LESS_EQUAL, Op.GREATER, Op.GREATER_EQUAL,
        Op.EQUAL, Op.NOT_EQUAL, Op.LOGICAL_AND, Op.LOGICAL_OR, Op.LOGICAL_NOT, Op.ABSOLUTE,
    }
)  # fmt: skip
"""Operations that mean the same in Python as in NumPy."""


def has_library_calls(program: Program) -> bool:
    """Whether some statement is left to NumPy."""
    return any(isinstance(s, Library) for s in walk.statements(program.body))


def segmented_source(program: Program, options: NumbaOptions) -> str:
    """A module that defines `kernel` as a plain function.

    Raises:
        NotLifted: A scalar would have to leave Numba as another type, or a condition cannot be
            evaluated in Python.
    """
    parts = ["import numba\nimport numpy as np"]
    parts += segmented_functions(program, options, "kernel", "segment")
    return "\n\n\n".join(parts) + "\n"


def segmented_functions(
    program: Program, options: NumbaOptions, name: str, prefix: str
) -> list[str]:
    """The text of a plain function, after the functions for Numba that it calls.

    Args:
        program: The program.
        options: How to compile the functions.
        name: Of the plain function.
        prefix: With which the names of the others begin.

    Raises:
        NotLifted: As `segmented_source`.
    """
    helpers: list[str] = []
    if options.vector_math:
        program, helpers = vectorisable(program)
    writer = _Segments(program, options, prefix)
    names = ", ".join(p.name for p in program.parameters)
    body = [f"    {size_text(s)}" for s in program.sizes]
    body += [f"    {line}" for line in writer.block(program.body)]
    return [*helpers, *writer.functions, "\n".join([f"def {name}({names}):", *body])]


class _Segments:
    """Writes the lines of the Python function, and gathers the functions that it calls."""

    def __init__(self, program: Program, options: NumbaOptions, prefix: str) -> None:
        self._program = program
        self._options = options
        self._writer = Writer(program, options)
        self._prefix = walk.unused_prefix(program, prefix)
        self._known = {p.name for p in program.parameters} | {s.name for s in program.sizes}
        self.functions: list[str] = []

    def block(self, body: Iterable[Statement]) -> list[str]:
        lines: list[str] = []
        run: list[Statement] = []
        for s in body:
            if not self._stays(s):
                run.append(s)
                continue
            lines += self._segment(run)
            run = []
            lines += self._statement(s)
        return [*lines, *self._segment(run)] or ["pass"]

    def _stays(self, s: Statement) -> bool:
        """Whether a statement belongs into the Python function."""
        if isinstance(s, Library | Allocate | Reshape | Rebind | Jump):
            return True
        inside = list(walk.statements([s]))
        jumps = isinstance(s, If) and any(isinstance(part, Jump) for part in inside)
        return jumps or any(isinstance(part, Library) for part in inside)

    def _statement(self, s: Statement) -> list[str]:
        match s:
            case Library():
                return [_call(s)]
            case Allocate(array=array) | Reshape(array=array):
                self._known.add(array.name)
                return self._writer.statement(s)
            case Loop(name=name, start=start, stop=stop, step=step, body=body):
                bounds = ", ".join(_plain(e) for e in (start, stop, step))
                self._known.add(name)
                return [f"for {name} in range({bounds}):", *self._inner(body)]
            case While(condition=condition, body=body):
                return [f"while {_plain(condition)}:", *self._inner(body)]
            case If(condition=condition, body=body, orelse=orelse):
                lines = [f"if {_plain(condition)}:", *self._inner(body)]
                return [*lines, "else:", *self._inner(orelse)] if orelse else lines
            case _:
                return self._writer.statement(s)

    def _inner(self, body: Iterable[Statement]) -> list[str]:
        return [f"    {line}" for line in self.block(body)]

    def _segment(self, run: list[Statement]) -> list[str]:
        """The call of a new function that holds these statements."""
        if not run:
            return []
        effects = effects_of(run, {})
        touched = effects.reads | effects.writes | effects.uses | effects.sets
        given = sorted(touched & self._known)
        results = self._results(run, effects)
        name = f"{self._prefix}{len(self.functions)}"
        lines = [decorator(self._options), f"def {name}({', '.join(given)}):"]
        lines += self._writer.block(run, parallel=self._options.parallel)
        if results:
            lines.append(f"    return {', '.join(results)}")
        self.functions.append("\n".join(lines))
        self._known |= set(results)
        call = f"{name}({', '.join(given)})"
        return [f"{', '.join(results)} = {call}" if results else call]

    def _results(self, run: list[Statement], effects: Effects) -> list[str]:
        """Scalars that are used elsewhere, and arrays that changed places."""
        inside = {id(s) for s in walk.statements(run)}
        others = [s for s in walk.statements(self._program.body) if id(s) not in inside]
        elsewhere = set(self._known) | _named(others)
        indices = walk.indices(run) | {s.name for s in walk.statements(run) if isinstance(s, Loop)}
        scalars = sorted((effects.sets & elsewhere) - indices)
        for s in walk.statements(run):
            if isinstance(s, Assign) and s.name in scalars and not _survives(s.value.dtype):
                raise NotLifted(f"the scalar {s.name} is a {s.value.dtype} between library calls")
        moved = {n for s in walk.statements(run) if isinstance(s, Rebind) for n in s.targets}
        return [*scalars, *sorted(moved & self._known)]


def _named(statements: Iterable[Statement]) -> set[str]:
    """Scalars that statements read themselves, not in their blocks."""
    names: set[str] = set()
    for s in statements:
        for e in walk.own_expressions(s):
            names |= walk.names_in(e)
        arrays: list[Array] = [s.array] if isinstance(s, Allocate | Reshape) else []
        names |= {n for a in arrays for extent in a.shape for n in extent.names}
        names |= {n for r in getattr(s, "ranges", ()) for n in r.extent.names}
        if isinstance(s, Define):
            names.add(s.name)
    return names


def _survives(dtype: str) -> bool:
    """Whether a scalar of this dtype has a Python type of its own."""
    return dtype in ("bool", "int64", "float64", "complex128")


def _plain(e: Expression) -> str:
    """An expression that Python evaluates."""
    for part in walk.expressions(e):
        if isinstance(part, Load) or (isinstance(part, Apply) and part.op not in _PLAIN):
            raise NotLifted("a condition around library calls that needs more than comparisons")
    return text(e)


def _call(s: Library) -> str:
    given = ", ".join(o.array + (".T" if o.transposed else "") for o in s.operands)
    if s.function == "matmul":
        return f"np.matmul({given}, out={s.target})"
    return f"{s.target}[...] = np.{s.function}({given})"
