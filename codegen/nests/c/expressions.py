"""Expressions of the intermediate representation in C, with NumPy's meaning.

Where an operator of C means something else than NumPy's (division of integers, complex products,
maxima of NaN), a small function takes its place; `Functions` collects those that are used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from outpace.codegen.c_signature import C_TYPES
from outpace.codegen.nests import affine
from outpace.codegen.nests.c.functions import (
    FUNCTIONS,
    NEWER_VECTOR_FUNCTIONS,
    VECTOR_FUNCTIONS,
    function_source,
)
from outpace.codegen.nests.ir import (
    Apply,
    Cast,
    Constant,
    Expression,
    Load,
    Op,
    Position,
    Variable,
)
from outpace.errors import NotLifted

_PRECEDENCE = {
    "||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "<": 7, "<=": 7, ">": 7, ">=": 7,
    "<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "unary": 11,
}  # fmt: skip
_ATOM = 12
_CHOICE = 0

_INFIX = {
    Op.ADD: "+",
    Op.SUBTRACT: "-",
    Op.MULTIPLY: "*",
    Op.DIVIDE: "/",
    Op.LESS: "<",
    Op.LESS_EQUAL: "<=",
    Op.GREATER: ">",
    Op.GREATER_EQUAL: ">=",
    Op.EQUAL: "==",
    Op.NOT_EQUAL: "!=",
    Op.LOGICAL_AND: "&&",
    Op.LOGICAL_OR: "||",
    Op.BITWISE_AND: "&",
    Op.BITWISE_OR: "|",
    Op.BITWISE_XOR: "^",
    Op.LEFT_SHIFT: "<<",
    Op.RIGHT_SHIFT: ">>",
}
_BOOLEAN = {Op.ADD: "|", Op.MULTIPLY: "&", Op.MAXIMUM: "|", Op.MINIMUM: "&"}
"""Arithmetic of booleans is logic."""
_LIBRARY = {
    Op.SQRT: "sqrt", Op.EXP: "exp", Op.LOG: "log", Op.LOG2: "log2", Op.LOG10: "log10",
    Op.LOG1P: "log1p", Op.EXPM1: "expm1", Op.SIN: "sin", Op.COS: "cos", Op.TAN: "tan",
    Op.ARCSIN: "asin", Op.ARCCOS: "acos", Op.ARCTAN: "atan", Op.ARCTAN2: "atan2",
    Op.HYPOT: "hypot", Op.SINH: "sinh", Op.COSH: "cosh", Op.TANH: "tanh", Op.FLOOR: "floor",
    Op.CEIL: "ceil", Op.TRUNC: "trunc", Op.POWER: "pow", Op.ABSOLUTE: "fabs", Op.REAL: "creal",
    Op.IMAG: "cimag", Op.CONJUGATE: "conj",
}  # fmt: skip
"""Functions of <math.h>; those of <complex.h> have a c before the name."""
_COMPLEX = {
    Op.SQRT, Op.EXP, Op.LOG, Op.SIN, Op.COS, Op.TAN, Op.ARCSIN, Op.ARCCOS, Op.ARCTAN, Op.SINH,
    Op.COSH, Op.TANH, Op.POWER,
}  # fmt: skip
_ROUNDINGS = (Op.FLOOR, Op.CEIL, Op.TRUNC)
_NARROW = ("int8", "int16", "uint8", "uint16")


def c_type(dtype: str) -> str:
    """Type of a local scalar."""
    return "bool" if dtype == "bool" else C_TYPES[dtype]


@dataclass
class Functions:
    """The functions that a kernel needs.

    Attributes:
        vector_math: Whether functions of <math.h> are declared to exist for vectors too.
        uses_complex: Whether one of them is in <complex.h>.
    """

    vector_math: bool
    uses_complex: bool = False
    _sources: dict[str, str] = field(default_factory=dict)
    _declared: dict[str, str] = field(default_factory=dict)

    def named(self, name: str, dtype: str) -> str:
        """A function of ours for a dtype, which is then part of the file."""
        full = f"{name}_{dtype}"
        if full not in self._sources:
            self._sources[full] = function_source(name, dtype)
        return full

    def defined(self, name: str, source: str) -> str:
        """A function of this source, which is then part of the file, in the order of names."""
        self._sources[name] = source
        return name

    def library(self, name: str) -> str:
        """A function of the C library, declared for vectors if it exists for them."""
        every = {**VECTOR_FUNCTIONS, **NEWER_VECTOR_FUNCTIONS}
        plain = name if name in every else name.removesuffix("f")
        if self.vector_math and plain in every:
            kind = "float" if plain != name else "double"
            form = "VECTOR_FORM" if plain in VECTOR_FUNCTIONS else "NEWER_VECTOR_FORM"
            arguments = ", ".join([kind] * every[plain])
            self._declared[name] = f"{form} {kind} {name}({arguments});"
        return name

    @property
    def declarations(self) -> list[str]:
        """Declarations to stand before <math.h>."""
        return [self._declared[name] for name in sorted(self._declared)]

    @property
    def sources(self) -> list[str]:
        """Definitions."""
        return [self._sources[name] for name in sorted(self._sources)]


@dataclass
class Expressions:
    """Writes expressions.

    Attributes:
        functions: Collects what they call.
    """

    functions: Functions

    def text(self, e: Expression) -> str:
        """C source of an expression."""
        return self._written(e)[0]

    def _written(self, e: Expression) -> tuple[str, int]:  # noqa: PLR0911  (a dispatch)
        """Source, and the precedence of its outermost operator."""
        match e:
            case Constant():
                return _constant(e)
            case Position(value=value):
                text = affine.text(value).replace("*", " * ")
                if not value.terms:
                    return f"{text}L", _ATOM if value.constant >= 0 else _PRECEDENCE["unary"]
                return text, _ATOM if text.isidentifier() else _PRECEDENCE["+"]
            case Variable(name=name):
                return name, _ATOM
            case Load(array=array, indices=indices):
                return self.access(array, indices), _ATOM
            case Cast(operand=operand, dtype=dtype):
                return self._cast(operand, dtype)
            case Apply():
                return self._applied(e)
            case _:
                raise NotLifted(f"{type(e).__name__.lower()} in C")

    def access(self, array: str, indices: Iterable[Expression]) -> str:
        """An element, through the macro of the array's name."""
        return f"{array}({', '.join(self._index(i) for i in indices)})"

    def _index(self, e: Expression) -> str:
        return affine.text(e.value).replace("*", " * ") if isinstance(e, Position) else self.text(e)

    def _enclosed(self, e: Expression, least: int) -> str:
        source, precedence = self._written(e)
        return source if precedence >= least else f"({source})"

    def _cast(self, operand: Expression, dtype: str) -> tuple[str, int]:
        if dtype == "bool":
            return f"{self._enclosed(operand, _PRECEDENCE['=='] + 1)} != 0", _PRECEDENCE["!="]
        if dtype.startswith("complex") and not operand.dtype.startswith("complex"):
            real = "float" if dtype == "complex64" else "double"
            return f"__builtin_complex(({real})({self.text(operand)}), ({real})0)", _ATOM
        inner = self._enclosed(operand, _PRECEDENCE["unary"])
        return f"({c_type(dtype)}){inner}", _PRECEDENCE["unary"]

    def _applied(self, e: Apply) -> tuple[str, int]:
        source, precedence = self._operation(e)
        if e.dtype in _NARROW and e.op is not Op.WHERE:  # C computes these as int
            return f"({C_TYPES[e.dtype]})({source})", _PRECEDENCE["unary"]
        return source, precedence

    def _operation(self, e: Apply) -> tuple[str, int]:  # noqa: C901, PLR0911, PLR0912  (a dispatch)
        op, operands = e.op, e.operands
        kind = np.dtype(operands[0].dtype).kind
        if kind == "b" and op in _BOOLEAN:
            return self._infix(_BOOLEAN[op], *operands)
        if kind == "c" and op in (Op.MULTIPLY, Op.DIVIDE):
            return self._call(self.functions.named(op.value, e.dtype), operands)
        if kind == "c" and op in (Op.LESS, Op.LESS_EQUAL, Op.GREATER, Op.GREATER_EQUAL):
            raise NotLifted("a comparison of complex numbers in C")
        if op in _INFIX:
            return self._infix(_INFIX[op], *operands)
        if op in _ROUNDINGS and kind in "iub":
            return self._written(operands[0])
        if op is Op.POWER and operands[1] == Constant(2, e.dtype) and kind in "fc":
            return self._call(self.functions.named("square", e.dtype), operands[:1])
        match op:
            case Op.LOGICAL_NOT:
                return f"!{self._enclosed(operands[0], _PRECEDENCE['unary'])}", _PRECEDENCE["unary"]
            case Op.NEGATIVE | Op.INVERT:
                sign = "-" if op is Op.NEGATIVE else "!" if kind == "b" else "~"
                inner = self._enclosed(operands[0], _PRECEDENCE["unary"])
                space = " " if inner.startswith(sign) else ""
                return f"{sign}{space}{inner}", _PRECEDENCE["unary"]
            case Op.WHERE:
                condition, chosen, other = (self._enclosed(o, _CHOICE + 1) for o in operands)
                return f"{condition} ? {chosen} : {other}", _CHOICE
            case Op.ISNAN | Op.ISFINITE if kind == "f":
                return self._call(op.value, operands)
            case Op.ABSOLUTE if kind in "ub":
                return self._written(operands[0])
            case Op.REAL | Op.CONJUGATE if kind != "c":
                return self._written(operands[0])
            case Op.POWER if kind in "iu":
                return self._call(self.functions.named("power", e.dtype), operands)
            case Op.ABSOLUTE if kind == "i":
                return self._call(self.functions.named("absolute", e.dtype), operands)
            case _:
                return self._function(e, kind)

    def _function(self, e: Apply, kind: str) -> tuple[str, int]:
        if e.op.value in FUNCTIONS and kind != "c" and e.op not in (Op.POWER, Op.ABSOLUTE):
            return self._call(self.functions.named(e.op.value, operand_dtype(e)), e.operands)
        name = _LIBRARY.get(e.op)
        is_part = e.op in (Op.REAL, Op.IMAG, Op.CONJUGATE)
        if name is None or (kind == "c" and not is_part and e.op not in {*_COMPLEX, Op.ABSOLUTE}):
            raise NotLifted(f"{e.op.value} of {e.operands[0].dtype} in C")
        if kind == "c":
            self.functions.uses_complex = True
        if kind == "c" and not is_part:
            name = "cabs" if e.op is Op.ABSOLUTE else f"c{name}"
        if e.operands[0].dtype in ("float32", "complex64"):
            name += "f"
        return self._call(self.functions.library(name), e.operands)

    def _call(self, name: str, operands: Iterable[Expression]) -> tuple[str, int]:
        return f"{name}({', '.join(self.text(o) for o in operands)})", _ATOM

    def _infix(self, sign: str, left: Expression, right: Expression) -> tuple[str, int]:
        own = _PRECEDENCE[sign]
        least = max(own, _PRECEDENCE["+"]) if sign in ("<<", ">>", "&", "|", "^") else own
        return (
            f"{self._enclosed(left, least)} {sign} {self._enclosed(right, max(own + 1, least))}",
            own,
        )


def operand_dtype(e: Apply) -> str:
    """The dtype in which an operation computes, which a comparison does not have itself."""
    return e.operands[0].dtype


def _constant(c: Constant) -> tuple[str, int]:
    value = c.value
    if c.dtype.startswith("complex"):
        value = complex(value)
        real, imaginary = (_real(v, c.dtype) for v in (value.real, value.imag))
        return f"__builtin_complex({real}, {imaginary})", _ATOM
    if c.dtype == "bool":
        return ("true" if value else "false"), _ATOM
    text = _real(value, c.dtype)
    return text, _PRECEDENCE["unary"] if text.startswith("-") else _ATOM


def _real(value: complex, dtype: str) -> str:
    """A literal of C with its suffix."""
    value = value.real
    if dtype in ("float32", "float64", "complex64", "complex128"):
        if not math.isfinite(value):
            return "NAN" if math.isnan(value) else ("INFINITY" if value > 0 else "-INFINITY")
        return repr(float(value)) + ("f" if dtype in ("float32", "complex64") else "")
    number = int(value)
    if number == -(2**63):
        return "INT64_MIN"
    return f"{number}{'UL' if dtype == 'uint64' else 'L' if dtype == 'int64' else ''}"
