"""A copy of a reference that computes in higher precision.

The copy is made from the source closure: dtype names in strings are rewritten, `numpy` and `math`
are replaced by stand-ins whose dtype constants and defaults are of the higher precision, and
captured constants are converted. What would compute in a fixed lower precision raises
`NotPromotableError`, so that a copy never loses precision unnoticed where that can be seen; callers
check the dtype of the results besides.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from outpace.codegen.source import SourceClosure, without_annotations
from outpace.model import Contract

Array = np.ndarray[Any, Any]


class NotPromotableError(Exception):
    """The reference has no copy in higher precision; the message says why."""


@dataclass(frozen=True)
class Precision:
    """The floating-point types that a promoted copy computes in.

    Attributes:
        real: `float64` or `longdouble`.
        complex: The complex type of the same precision.
    """

    real: type[Any]
    complex: type[Any]

    def above(self, dtype: np.dtype[Any]) -> bool:
        """Whether this is a floating-point dtype of lower precision."""
        return dtype.kind in "fc" and bool(np.finfo(dtype).nmant < np.finfo(self.real).nmant)

    def dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """The promoted dtype; integers and booleans stay as they are."""
        if dtype.kind not in "fc":
            return dtype
        return np.dtype(self.complex if dtype.kind == "c" else self.real)

    def promoted(self, value: Any) -> Any:
        """A float or complex number or array in this precision, always a copy of an array.

        Anything else is returned unchanged.
        """
        if isinstance(value, np.ndarray):
            return value.astype(self.dtype(value.dtype), order="C")
        if isinstance(value, float | np.floating):
            return self.real(value)
        if isinstance(value, complex | np.complexfloating):
            return self.complex(value)
        return value


def precision_above(contract: Contract) -> Precision:
    """The precision to promote to: `float64` if all arrays are narrower, else `longdouble`.

    One target for all dtypes of a contract, so that no promoted copy mixes two.

    Raises:
        NotPromotableError: There is nothing to promote, or `longdouble` is no wider than `float64`.
    """
    dtypes = [np.dtype(a.dtype) for a in contract.arguments if a.is_array]
    dtypes += [np.dtype(o.dtype) for o in contract.outputs]
    if not any(np.dtype(r.dtype).kind in "fc" for r in contract.results):
        raise NotPromotableError("all results are integers or booleans, which are compared exactly")
    if all(np.finfo(d).nmant < np.finfo(np.float64).nmant for d in dtypes if d.kind in "fc"):
        return Precision(np.float64, np.complex128)
    if np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        raise NotPromotableError("long double is no wider than double on this machine")
    return Precision(np.longdouble, np.clongdouble)


def promoted_function(closure: SourceClosure, precision: Precision) -> Callable[..., Any]:
    """Compile a copy of a function and of its helpers that computes in `precision`.

    Raises:
        NotPromotableError: It imports what has no stand-in.
    """
    stand_ins = _StandIns(precision)
    text = [*closure.imports.values(), *map(without_annotations, closure.functions.values())]
    tree = _DtypeNames(precision).visit(ast.parse("\n".join(text)))
    namespace: dict[str, Any] = {
        "__name__": "outpace_higher_precision",
        "__builtins__": {
            **vars(builtins),
            "__import__": stand_ins.load,
            "float": precision.real,
            "complex": precision.complex,
        },
        **{name: _constant(value, precision) for name, value in closure.constants.items()},
    }
    exec(compile(tree, "<higher precision>", "exec"), namespace)  # noqa: S102  (the user's own code)
    function: Callable[..., Any] = namespace[closure.name]
    return function


def _constant(value: Any, precision: Precision) -> Any:
    if isinstance(value, tuple):
        return tuple(precision.promoted(item) for item in value)
    return precision.promoted(value)


class _DtypeNames(ast.NodeTransformer):
    """Dtype names in strings, as in `x.astype("float32")`, become those of the precision."""

    _REAL = frozenset(("float32", "float64", "single", "double", "f4", "f8"))
    _COMPLEX = frozenset(("complex64", "complex128", "csingle", "cdouble", "c8", "c16"))

    def __init__(self, precision: Precision) -> None:
        self._precision = precision

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if isinstance(node.value, str) and node.value in self._REAL | self._COMPLEX:
            kind = self._precision.real if node.value in self._REAL else self._precision.complex
            return ast.copy_location(ast.Constant(np.dtype(kind).name), node)
        return node


class _StandIns:
    """Imports of a promoted copy."""

    _PLAIN = frozenset(("collections", "functools", "itertools", "operator", "typing"))
    """Modules that compute nothing themselves."""

    def __init__(self, precision: Precision) -> None:
        self._roots = {"numpy": _NumPy(np, precision), "math": _Math(precision)}

    def load(
        self,
        name: str,
        namespace: Any = None,
        local: Any = None,
        names: tuple[str, ...] | None = (),
        level: int = 0,
    ) -> Any:
        """Stands in for `__import__`."""
        del namespace, local, level
        root, _, rest = name.partition(".")
        if root in self._PLAIN:
            return importlib.import_module(name)
        if root not in self._roots:
            raise NotPromotableError(f"it uses {root}, whose precision is not known")
        path = rest.split(".") if rest and names else []
        return functools.reduce(getattr, path, self._roots[root])


class _NumPy:
    """Stands in for `numpy` and its submodules."""

    _REFUSED = frozenset(("finfo", "random", "interp", "memmap", "frombuffer", "fromfile", "load"))
    """Fixed at one precision, or describes the one that is being replaced."""
    _SPACED = frozenset(("linspace", "logspace", "geomspace"))
    """Compute in float64 even between integers."""

    def __init__(self, module: ModuleType, precision: Precision) -> None:
        self._module = module
        self._precision = precision

    def __getattr__(self, name: str) -> Any:
        if name in self._REFUSED:
            raise NotPromotableError(f"it uses np.{name}")
        value = self._adapted(name, getattr(self._module, name))
        setattr(self, name, value)  # found without this method from now on
        return value

    def _adapted(self, name: str, value: Any) -> Any:
        if isinstance(value, ModuleType):
            return _NumPy(value, self._precision)
        if isinstance(value, type):
            is_number = issubclass(value, np.inexact) and value not in _ABSTRACT
            return self._precision.dtype(np.dtype(value)).type if is_number else value
        if isinstance(value, np.ufunc) or not callable(value):
            return value  # ufuncs compute in the precision of their arguments
        return self._function(name, value)

    def _function(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        real = self._precision.real

        def adapted(*args: Any, **kwargs: Any) -> Any:
            given = [real(a) if type(a) is float else a for a in args]
            if name in self._SPACED:
                given[:2] = [real(a) if isinstance(a, int) else a for a in given[:2]]
            elif name == "fromfunction":
                kwargs.setdefault("dtype", real)
            result = function(*given, **kwargs)
            return self._lifted(name, result, given)

        return adapted

    def _lifted(self, name: str, result: Any, given: list[Any]) -> Any:
        """A result made from nothing is promoted; one that lost precision is refused."""
        if isinstance(result, tuple | list):
            return type(result)(self._lifted(name, item, given) for item in result)
        if not isinstance(result, np.ndarray | np.generic) or not self._precision.above(
            result.dtype
        ):
            return result
        types = (self._precision.real, self._precision.complex)
        if any(isinstance(a, np.ndarray | np.generic) and a.dtype.type in types for a in given):
            raise NotPromotableError(f"np.{name} always computes in {result.dtype.name}")
        return self._precision.promoted(result)


_ABSTRACT = (np.inexact, np.floating, np.complexfloating)


class _Math:
    """Stands in for `math`: NumPy's functions on numbers of the higher precision."""

    _SAME = frozenset(
        ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "exp2", "expm1", "log2", "log10",
         "log1p", "sqrt", "cbrt", "hypot", "fabs", "copysign", "fmod", "degrees", "radians",
         "isnan", "isinf", "isfinite")
    )  # fmt: skip
    _RENAMED = {
        "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2",
        "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "pow": "power",
    }  # fmt: skip
    _ROUNDING = frozenset(("floor", "ceil", "trunc"))
    _PLAIN = frozenset(
        ("pi", "e", "tau", "inf", "nan", "gcd", "lcm", "comb", "perm", "factorial", "isqrt")
    )

    def __init__(self, precision: Precision) -> None:
        self._real = precision.real

    def __getattr__(self, name: str) -> Any:
        value = self._adapted(name)
        setattr(self, name, value)
        return value

    def _adapted(self, name: str) -> Any:
        real = self._real
        if name in self._PLAIN:
            return getattr(math, name)
        if name == "log":
            return lambda x, *base: np.log(real(x)) / (np.log(real(base[0])) if base else 1)
        function = getattr(np, self._RENAMED.get(name, name), None)
        if name in self._ROUNDING and function is not None:
            return lambda x: int(function(real(x)))
        if function is None or name not in self._SAME | self._RENAMED.keys():
            raise NotPromotableError(f"math.{name} has no counterpart in higher precision")
        return lambda *xs: function(*map(real, xs))
