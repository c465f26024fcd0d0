"""Write a program as Python source for Numba, with explicit loops.

The source means the same without Numba (`njit` as identity, `prange` as `range`), which is how it
is tested. `error_model="numpy"` gives Inf and NaN where Python would raise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Assign,
    Cast,
    Constant,
    Define,
    Expression,
    If,
    Jump,
    Library,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Rebind,
    Reduce,
    Reduction,
    Reshape,
    Size,
    Statement,
    Store,
    Variable,
    While,
)
from outpace.codegen.nests.numba import vector_math
from outpace.codegen.nests.numba.vector_math import vectorisable
from outpace.codegen.nests.printer import SYMBOLS

EXACT_FASTMATH = ("reassoc", "contract", "arcp", "nsz")
"""Fast-math flags that keep NaN and Inf meaningful."""

_PRECEDENCE = {
    "or": 1, "and": 2, "not": 3, "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4,
    "|": 5, "^": 6, "&": 7, "<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "//": 10,
    "%": 10, "unary": 11, "**": 12,
}  # fmt: skip
_ATOM = 13
_CHOICE = 0


@dataclass(frozen=True)
class NumbaOptions:
    """How to compile.

    Attributes:
        parallel: Run the outermost index of large nests on all threads.
        fastmath: Allow sums to be reordered and multiplications to be contracted.
        vector_math: Use `exp`, maxima and minima that compilers can vectorise.
    """

    parallel: bool = False
    fastmath: bool = False
    vector_math: bool = False


def numba_source(program: Program, options: NumbaOptions) -> str:
    """A module that defines `kernel`."""
    parts = ["import numba\nimport numpy as np", *numba_functions(program, options, "kernel")]
    return "\n\n\n".join(parts) + "\n"


def numba_functions(program: Program, options: NumbaOptions, name: str) -> list[str]:
    """The text of a function of this name, after those that it calls."""
    helpers: list[str] = []
    if options.vector_math:
        program, helpers = vectorisable(program)
    writer = Writer(program, options)
    names = ", ".join(p.name for p in program.parameters)
    lines = [decorator(options), f"def {name}({names}):"]
    lines += [f"    {size_text(s)}" for s in program.sizes]
    lines += writer.block(program.body, parallel=options.parallel)
    if len(lines) == 2:
        lines.append("    pass")
    return [*helpers, "\n".join(lines)]


def decorator(options: NumbaOptions) -> str:
    """The decorator that compiles a function in this way."""
    flags = ['error_model="numpy"']
    if options.parallel:
        flags.append("parallel=True")
    if options.fastmath:
        flags.append(f"fastmath={{{', '.join(repr(f) for f in EXACT_FASTMATH)}}}")
    return f"@numba.njit({', '.join(flags)})"


def size_text(s: Size) -> str:
    """The assignment of a size."""
    extent = f"{s.array}.shape[{s.axis}]"
    rest = affine.text(affine.times(s.offset, -1))
    if s.offset != affine.ZERO:
        extent += f" {rest[0]} {rest[1:].strip()}" if rest[0] == "-" else f" + {rest}"
    return f"{s.name} = ({extent}) // {s.factor}" if s.factor != 1 else f"{s.name} = {extent}"


class Writer:
    """Writes statements; reductions become loops in front of the statement that uses them."""

    def __init__(self, program: Program, options: NumbaOptions) -> None:
        self._options = options
        self._dims = {s.name for s in program.sizes}
        self._worth_threads = walk.worth_threads(program.body)
        self._prefix = walk.unused_prefix(program, "acc")
        self._accumulators = 0

    def block(self, body: Iterable[Statement], *, parallel: bool) -> list[str]:
        """The lines of a block, indented."""
        return [f"    {line}" for s in body for line in self.statement(s, parallel=parallel)]

    def statement(self, s: Statement, *, parallel: bool = False) -> list[str]:  # noqa: PLR0911  (a dispatch)
        """The lines of one statement."""
        match s:
            case Store(array=array, indices=indices, value=value):
                before, value = self._reductions(value)
                return [*before, f"{array}[{_indices(indices)}] = {text(value)}"]
            case Assign(name=name, value=value) | Define(name=name, value=value):
                before, value = self._reductions(value)
                return [*before, f"{name} = {text(value)}"]
            case Nest():
                return self._nest(s, parallel)
            case Allocate(array=array):
                return [
                    f"{array.name} = np.empty({self._shape(array)}, np.{numpy_name(array.dtype)})"
                ]
            case Reshape(array=array, base=base):
                return [f"{array.name} = {base}.reshape({self._shape(array)})"]
            case Rebind(targets=targets, sources=sources):
                return [f"{', '.join(targets)} = {', '.join(sources)}"]
            case Jump():
                return [s.value]
            case Library():
                raise AssertionError("programs with library calls are written in segments")
            case _:
                return self._control(s, parallel)

    def _shape(self, a: Array) -> str:
        """A tuple of extents; one that may be negative stands for 0."""
        parts = [
            affine.text(n)
            if n.constant >= 0 and all(c > 0 and name in self._dims for name, c in n.terms)
            else f"max({affine.text(n)}, 0)"
            for n in a.shape
        ]
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"

    def _control(self, s: Loop | If | While, parallel: bool) -> list[str]:
        match s:
            case Loop(name=name, start=start, stop=stop, step=step, body=body):
                bounds = _range_arguments(start, stop, step)
                return [f"for {name} in range({bounds}):", *self._inner(body, parallel)]
            case While(condition=condition, body=body):
                return [f"while {text(condition)}:", *self._inner(body, parallel)]
            case If(condition=condition, body=body, orelse=orelse):
                before, condition = self._reductions(condition)
                lines = [*before, f"if {text(condition)}:", *self._inner(body, parallel)]
                return [*lines, "else:", *self._inner(orelse, parallel)] if orelse else lines

    def _inner(self, body: tuple[Statement, ...], parallel: bool) -> list[str]:
        return self.block(body, parallel=parallel) or ["    pass"]

    def _nest(self, nest: Nest, parallel: bool) -> list[str]:
        threads = parallel and walk.depth(nest) >= self._worth_threads
        lines: list[str] = []
        for depth, r in enumerate(nest.ranges):
            kind = "numba.prange" if threads and depth == 0 else "range"
            lines.append(f"{'    ' * depth}for {r.name} in {kind}({affine.text(r.extent)}):")
        pad = "    " * (len(nest.ranges) - 1)
        body = self.block(nest.body, parallel=parallel and not threads)
        return [*lines, *(pad + line for line in body)]

    def _reductions(self, e: Expression) -> tuple[list[str], Expression]:
        """Loops that compute the reductions in an expression, and the expression without them."""
        lines: list[str] = []

        def change(part: Expression) -> Expression:
            if not isinstance(part, Reduce):
                return part
            name = f"{self._prefix}{self._accumulators}"
            self._accumulators += 1
            lines.extend(_accumulate(name, part, vector=self._options.vector_math))
            wide = _accumulator_dtype(part)
            variable: Expression = Variable(name, wide)
            return variable if wide == part.dtype else Cast(variable, part.dtype)

        changed = walk.rewritten(e, change)
        return lines, changed


def _accumulator_dtype(r: Reduce) -> str:
    """Sums of short floats are kept longer: NumPy's pairwise sums are about as accurate."""
    if r.kind is not Reduction.SUM:
        return r.dtype
    return {"float32": "float64", "complex64": "complex128"}.get(r.dtype, r.dtype)


def _accumulate(name: str, r: Reduce, *, vector: bool) -> list[str]:
    """The loops of a reduction."""
    dtype = _accumulator_dtype(r)
    lines = [f"{name} = {text(_start(r.kind, dtype))}"]
    after: list[str] = []
    body = Cast(r.body, dtype) if r.body.dtype != dtype else r.body
    if r.kind in (Reduction.MAX, Reduction.MIN):
        if vector and dtype in vector_math.DTYPES:
            lines.append(f"{name}_nan = False")
            after = [f"if {name}_nan:", f"    {name} = {text(Constant(math.nan, dtype))}"]
        step = _extreme_step(name, r.kind, text(body), dtype, vector=bool(after))
    else:
        op = _COMBINE[r.kind]
        step = [f"{name} = {text(Apply(op, (Variable(name, dtype), body), dtype))}"]
    for depth, inner in enumerate(r.ranges):
        lines.append(f"{'    ' * depth}for {inner.name} in range({affine.text(inner.extent)}):")
    pad = "    " * len(r.ranges)
    return [*lines, *(pad + line for line in step), *after]


_COMBINE = {
    Reduction.SUM: Op.ADD,
    Reduction.PROD: Op.MULTIPLY,
    Reduction.ANY: Op.LOGICAL_OR,
    Reduction.ALL: Op.LOGICAL_AND,
}


def _extreme_step(name: str, kind: Reduction, value: str, dtype: str, *, vector: bool) -> list[str]:
    """One step of a maximum or minimum; NaN stays once it is met."""
    following = [f"{name}_next = {value}"]
    if vector:
        function = vector_math.EXTREMES[kind]
        following.append(f"{name} = {function}({name}, {name}_next)")
        return [*following, f"{name}_nan = {name}_nan | ({name}_next != {name}_next)"]
    sign = ">" if kind is Reduction.MAX else "<"
    nan = f" or {name}_next != {name}_next" if dtype[0] == "f" else ""
    return [*following, f"if {name}_next {sign} {name}{nan}:", f"    {name} = {name}_next"]


def _start(kind: Reduction, dtype: str) -> Constant:
    """The value with which a reduction begins."""
    if kind in (Reduction.SUM, Reduction.ANY):
        return Constant(np.dtype(dtype).type(0).item(), dtype)
    if kind in (Reduction.PROD, Reduction.ALL):
        return Constant(np.dtype(dtype).type(1).item(), dtype)
    if dtype[0] == "f":
        return Constant(-math.inf if kind is Reduction.MAX else math.inf, dtype)
    info = np.iinfo(dtype)
    return Constant(int(info.min if kind is Reduction.MAX else info.max), dtype)


# --- Expressions --------------------------------------------------------------------------------


def text(e: Expression) -> str:
    """Python source of an expression."""
    return _written(e)[0]


def _written(e: Expression) -> tuple[str, int]:
    """Source and the precedence of its outermost operator."""
    match e:
        case Constant():
            return _constant(e)
        case Position(value=value):
            simple = len(value.terms) + bool(value.constant) <= 1 and "*" not in affine.text(value)
            return affine.text(value), _ATOM if simple and value.terms else _PRECEDENCE["+"]
        case Variable(name=name):
            return name, _ATOM
        case Load(array=array, indices=indices):
            return f"{array}[{_indices(indices)}]", _ATOM
        case Cast(operand=operand, dtype=dtype):
            return f"np.{numpy_name(dtype)}({text(operand)})", _ATOM
        case Apply():
            return _applied(e)
        case Reduce():
            raise AssertionError("reductions were replaced by accumulators")


def _applied(e: Apply) -> tuple[str, int]:
    source, precedence = _operation(e)
    if _widens(e):
        return f"np.{numpy_name(e.dtype)}({source})", _ATOM
    return source, precedence


def _widens(e: Apply) -> bool:
    """Whether Numba computes short integers in a longer type than NumPy."""
    return e.dtype.lstrip("u") in ("int8", "int16", "int32") and e.op is not Op.WHERE


def _operation(e: Apply) -> tuple[str, int]:  # noqa: C901, PLR0911  (a dispatch)
    op, operands = e.op, e.operands
    if op in SYMBOLS:
        return _infix(SYMBOLS[op], *operands)
    match op:
        case Op.LOGICAL_AND | Op.LOGICAL_OR:
            return _infix("and" if op is Op.LOGICAL_AND else "or", *operands)
        case Op.LOGICAL_NOT:
            return f"not {_enclosed(operands[0], _PRECEDENCE['not'])}", _PRECEDENCE["not"]
        case Op.NEGATIVE | Op.INVERT:
            sign = "-" if op is Op.NEGATIVE else "~"
            return f"{sign}{_enclosed(operands[0], _PRECEDENCE['unary'])}", _PRECEDENCE["unary"]
        case Op.WHERE:
            condition, chosen, other = (_enclosed(o, _CHOICE + 1) for o in operands)
            return f"{chosen} if {condition} else {other}", _CHOICE
        case Op.WRAP:
            return _written(operands[0])  # Numba counts negative indices from the end itself
        case Op.REAL | Op.IMAG:
            return f"{_enclosed(operands[0], _ATOM)}.{op.value}", _ATOM
        case Op.SMALLER | Op.LARGER:
            name = "min" if op is Op.SMALLER else "max"
            return f"{name}({', '.join(text(o) for o in operands)})", _ATOM
        case Op.FAST_EXP:
            return f"exp_{e.dtype}({text(operands[0])})", _ATOM
        case Op.ABSOLUTE:
            return f"abs({text(operands[0])})", _ATOM
        case _:
            return f"np.{op.value}({', '.join(text(o) for o in operands)})", _ATOM


def _infix(sign: str, left: Expression, right: Expression) -> tuple[str, int]:
    own = _PRECEDENCE[sign]
    first = _enclosed(left, own + (sign == "**" or own == 4))
    return f"{first} {sign} {_enclosed(right, own + 1)}", own


def _enclosed(e: Expression, least: int) -> str:
    source, precedence = _written(e)
    return source if precedence >= least else f"({source})"


def _constant(c: Constant) -> tuple[str, int]:
    value = c.value
    if c.dtype == "complex128" and isinstance(value, complex):
        return f"({value!r})", _ATOM
    plain = _finite(value)
    if c.dtype in ("bool", "int64", "float64"):
        return plain, _PRECEDENCE["unary"] if plain.startswith("-") else _ATOM
    return f"np.{numpy_name(c.dtype)}({plain})", _ATOM


def _finite(value: complex) -> str:
    """A literal; Inf and NaN by their names in NumPy."""
    if isinstance(value, float) and not math.isfinite(value):
        return "np.nan" if math.isnan(value) else ("np.inf" if value > 0 else "-np.inf")
    return repr(value)


def numpy_name(dtype: str) -> str:
    """What NumPy calls the type of a dtype."""
    return "bool_" if dtype == "bool" else dtype


def _indices(indices: Iterable[Expression]) -> str:
    return ", ".join(text(i) for i in indices) or "()"


def _range_arguments(start: Expression, stop: Expression, step: Expression) -> str:
    one, zero = Constant(1, "int64"), Constant(0, "int64")
    if step != one:
        return ", ".join(text(e) for e in (start, stop, step))
    return text(stop) if start == zero else f"{text(start)}, {text(stop)}"
