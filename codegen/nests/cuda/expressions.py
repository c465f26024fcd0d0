"""Expressions of the intermediate representation in CUDA C++, with NumPy's meaning."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.c.expressions import Expressions, Functions
from outpace.codegen.nests.cuda.functions import (
    COMPLEX_FUNCTIONS,
    CUDA_TYPES,
    REAL_PARTS,
    complex_type,
    device_function,
)
from outpace.codegen.nests.ir import Apply, Array, Constant, Expression, Op, Position
from outpace.errors import NotLifted

_ATOM = 12
_UNARY = 11
_TIMES = 10
_PLUS = 9
_WRAPPING = {Op.ADD: "+", Op.SUBTRACT: "-", Op.MULTIPLY: "*"}
"""Operations of signed integers that wrap around in NumPy, and may not overflow in C++."""
_WIDE = {"int32": "uint32_t", "int64": "uint64_t"}
"""Unsigned types for them; shorter ones are computed as `int`, which holds the results."""
_SAME_OPERATOR = {Op.ADD, Op.SUBTRACT, Op.NEGATIVE, Op.EQUAL, Op.NOT_EQUAL, Op.WHERE}
"""What the writer of C does for complex numbers means the same here."""


def _extent(n: Affine) -> str:
    text = affine.text(n).replace("*", " * ")
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def cuda_type(dtype: str) -> str:
    """Type of a local scalar."""
    return "bool" if dtype == "bool" else CUDA_TYPES[dtype]


@dataclass
class DeviceFunctions(Functions):
    """The functions and types that a file needs.

    Attributes:
        vector_math: Not used on a GPU.
        complex_types: Dtypes of complex numbers in the file.
        uses_infinity: Whether constants are infinite or NaN.
    """

    vector_math: bool = False
    complex_types: set[str] = field(default_factory=set)
    uses_infinity: bool = False
    _defined: dict[str, str] = field(default_factory=dict)

    def named(self, name: str, dtype: str) -> str:
        """A function of ours for a dtype, which is then part of the file."""
        full = f"{name}_{dtype}"
        if full not in self._defined:
            self._defined[full] = device_function(name, dtype)
        return full

    def add(self, name: str, source: str) -> None:
        """Another definition to stand among the functions."""
        self._defined.setdefault(name, source)

    @property
    def sources(self) -> list[str]:
        """Definitions, in an order in which each is known before it is used."""
        headers = ["#include <math.h>"] if self.uses_infinity else []
        types = [complex_type(dtype) for dtype in sorted(self.complex_types)]
        return [*headers, *types, *(self._defined[name] for name in sorted(self._defined))]


@dataclass
class DeviceExpressions(Expressions):
    """Writes expressions.

    Attributes:
        functions: Collects what they call.
        arrays: By name; an element is found by its place in flat memory.
    """

    functions: DeviceFunctions
    arrays: Mapping[str, Array]

    def access(self, array: str, indices: Iterable[Expression]) -> str:
        """An element, C-contiguous."""
        place, precedence = "0", _ATOM
        for extent, index in zip(self.arrays[array].shape, indices, strict=True):
            outer = "" if place == "0" else place if precedence >= _TIMES else f"({place})"
            inner, own = self._written(index)
            if isinstance(index, Position):  # an index, which needs no suffix
                inner = affine.text(index.value).replace("*", " * ")
            if not outer:
                place, precedence = inner, own
            elif inner == "0":
                place, precedence = f"{outer} * {_extent(extent)}", _TIMES
            else:
                inner = inner if own >= _PLUS else f"({inner})"
                place, precedence = f"{outer} * {_extent(extent)} + {inner}", _PLUS
        return f"{array}[{place}]"

    def _written(self, e: Expression) -> tuple[str, int]:
        if e.dtype in REAL_PARTS:
            self.functions.complex_types.add(e.dtype)
        if isinstance(e, Constant):
            if e.dtype in REAL_PARTS:
                value = complex(e.value)
                kind = "float64" if e.dtype == "complex128" else "float32"
                parts = [self.text(Constant(v, kind)) for v in (value.real, value.imag)]
                return f"{e.dtype}{{{', '.join(parts)}}}", _ATOM
            if e.dtype.startswith("float") and not math.isfinite(e.value.real):
                self.functions.uses_infinity = True
            if e.dtype == "int64" and int(e.value.real) == -(2**63):
                return "(-9223372036854775807L - 1)", _ATOM
        return super()._written(e)

    def _cast(self, operand: Expression, dtype: str) -> tuple[str, int]:
        if operand.dtype in REAL_PARTS and dtype != operand.dtype:
            raise NotLifted(f"a conversion of {operand.dtype} to {dtype} in CUDA")
        if dtype in REAL_PARTS:
            if operand.dtype == dtype:
                return self._written(operand)
            real = REAL_PARTS[dtype]
            return f"{dtype}{{({real})({self.text(operand)}), ({real})0}}", _ATOM
        return super()._cast(operand, dtype)

    def _operation(self, e: Apply) -> tuple[str, int]:
        dtype = e.operands[0].dtype
        if dtype in REAL_PARTS and e.op is not Op.WHERE:
            return self._complex_operation(e, dtype)
        if dtype in _WIDE and e.op in (*_WRAPPING, Op.NEGATIVE):
            return self._wrapped(e, dtype)
        if e.op is Op.POWER and np.dtype(dtype).kind == "f" and e.operands[1].dtype != dtype:
            raise NotLifted(f"a power of {dtype} and {e.operands[1].dtype} in CUDA")
        return super()._operation(e)

    def _wrapped(self, e: Apply, dtype: str) -> tuple[str, int]:
        """Integers that wrap around, computed without a sign."""
        wide = _WIDE[dtype]
        operands = [f"({wide}){self._enclosed(o, _UNARY)}" for o in e.operands]
        if e.op is Op.NEGATIVE:
            operands.insert(0, "0")
        sign = _WRAPPING.get(e.op, "-")
        return f"({CUDA_TYPES[dtype]})({f' {sign} '.join(operands)})", _UNARY

    def _complex_operation(self, e: Apply, dtype: str) -> tuple[str, int]:
        if e.op in (Op.MULTIPLY, Op.DIVIDE):
            return self._infix("*" if e.op is Op.MULTIPLY else "/", *e.operands)
        if e.op in _SAME_OPERATOR:
            return super()._operation(e)
        if e.op in (Op.REAL, Op.IMAG):
            part = "re" if e.op is Op.REAL else "im"
            return f"{self._enclosed(e.operands[0], _ATOM)}.{part}", _ATOM
        name = e.op.value
        operands = e.operands
        if e.op is Op.POWER and operands[1] == Constant(2, e.dtype):
            name, operands = "square", operands[:1]
        if name not in COMPLEX_FUNCTIONS:
            raise NotLifted(f"{name} of {dtype} in CUDA")
        return self._call(f"{name}_{dtype}", operands)
