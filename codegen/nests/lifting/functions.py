"""Calls of NumPy functions, array methods, `math` functions and builtins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import add, floordiv, mod, mul
from operator import pow as power
from typing import Any

import numpy as np

from outpace.codegen.nests.ir import Constant, Op, Reduction
from outpace.codegen.nests.lifting import (
    covariances,
    creation,
    differences,
    elementwise,
    histograms,
    members,
    products,
    reductions,
    repeating,
    shaping,
)
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.calls import Call, Handler, literal_of, of_numpy, value_of
from outpace.codegen.nests.lifting.values import (
    DType,
    Lifted,
    NamedFunction,
    Selection,
    Value,
    literal,
    result_type,
    scalar_value,
)
from outpace.errors import NotLifted

_NOT_UFUNCS = (Op.WHERE, Op.SMALLER, Op.LARGER, Op.FAST_EXP, Op.WRAP)
_ALIASES = {
    "abs": "absolute",
    "true_divide": "divide",
    "mod": "remainder",
    "conj": "conjugate",
    "pow": "power",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "bitwise_not": "invert",
}
_UFUNCS = {op.value: op for op in Op if op not in _NOT_UFUNCS}
_OF_UFUNCS = {
    "add": Reduction.SUM,
    "multiply": Reduction.PROD,
    "maximum": Reduction.MAX,
    "minimum": Reduction.MIN,
}
"""The reductions `np.add.reduce` and so on."""
_OF_MATH = frozenset(
    {
        "sqrt", "exp", "log", "log2", "log10", "log1p", "expm1", "sin", "cos", "tan", "arcsin",
        "arccos", "arctan", "arctan2", "hypot", "sinh", "cosh", "tanh", "absolute",
    }
)  # fmt: skip
"""Functions of `math` that give floats and agree with NumPy's."""


def call(
    builder: Builder,
    function: NamedFunction,
    arguments: list[Lifted],
    keywords: Mapping[str, Lifted],
) -> Lifted:
    """The value of a call.

    Raises:
        NotLifted: The function, or this form of it, is not known.
    """
    if function.owner is not None:
        arguments = [function.owner, *arguments]
    elif function.module == "builtins":
        return _builtin(builder, function.name, arguments, keywords)
    elif function.module == "math":
        return _of_math(function.name, arguments)
    elif not f"{function.module}.".startswith("numpy."):
        raise NotLifted(f"a call of {function.module}.{function.name}")
    name = f"{function.module}.{function.name}".removeprefix("numpy.").removeprefix("method.")
    name = _ALIASES.get(name, name)
    known = Call(builder, name, tuple(arguments), keywords)
    ufunc, _, method = name.partition(".")
    if name in _UFUNCS:
        return _of_ufunc(known)
    if ufunc in _UFUNCS and method in ("outer", "reduce"):
        return _ufunc_method(known, ufunc, method)
    if name not in _HANDLERS:
        raise NotLifted(f"a call of {_full_name(function)}")
    return _HANDLERS[name](known)


def _full_name(function: NamedFunction) -> str:
    """As it reads to a user: `numpy.linalg.solve`, but `sort` for `np.sort` and `x.sort`."""
    plain = function.module in ("numpy", "method", "builtins")
    return function.name if plain else f"{function.module}.{function.name}"


def is_builtin(name: str) -> bool:
    """Whether a builtin of that name is known."""
    return name in ("abs", "min", "max", "len", "range", "pow", "sum", "divmod")


def converted(dtype: DType, arguments: list[Lifted]) -> Value:
    """`float(x)` makes a Python number, `np.float32(x)` a NumPy scalar."""
    if dtype.builtin and dtype.name == "complex128" and len(arguments) == 2:
        return _complex(arguments)
    value = value_of(arguments[0], dtype.name) if len(arguments) == 1 else literal(0)
    if len(arguments) > 1 or (dtype.builtin and value.is_array):
        raise NotLifted(f"{dtype.name} of an array, or of two values")
    if dtype.builtin and dtype.name == "int64" and value.dtype == "uint64":
        raise NotLifted("int of a uint64, which may not fit")
    return elementwise.converted(value, dtype.name, weak=dtype.builtin)


def _complex(parts: list[Lifted]) -> Value:
    """`complex(real, imaginary)` of finite numbers."""
    real, imaginary = (converted(DType("float64", builtin=True), [part]) for part in parts)
    turned = elementwise.elementwise(Op.MULTIPLY, mul, imaginary, literal(1j))
    return elementwise.elementwise(Op.ADD, add, real, turned)


def view(value: Value, name: str) -> Value:
    """`.T`, `.real` and `.imag`."""
    if name == "T":
        return shaping.exchanged(value, tuple(range(len(value.shape)))[::-1])
    if name == "real" and value.dtype[0] != "c":
        return value
    part = elementwise.elementwise(_UFUNCS[name], of_numpy(name), value)
    return Value(part.dtype, part.shape, part.at, part.weak, storage=value.storage)


def size(builder: Builder, value: Value) -> Value:
    """The number of elements."""
    return shaping.size(builder, value)


def length(builder: Builder, value: Value | Selection) -> Value:
    """The first extent, as `len` gives it."""
    if isinstance(value, Selection):
        return reductions.selected(builder, value.mask)
    return shaping.length(builder, value)


def _of_ufunc(known: Call) -> Lifted:
    function = of_numpy(known.name)
    if known.name in ("real", "imag"):
        return view(known.only(1)[0], known.name)
    if known.keywords or len(known.arguments) != getattr(function, "nin", 1):
        raise NotLifted(f"np.{known.name} with options")
    return lifted_elementwise(_UFUNCS[known.name], function, known.arguments)


def lifted_elementwise(
    op: Op, function: Callable[..., Any], arguments: tuple[Lifted, ...]
) -> Lifted:
    """An elementwise function of values, or of elements that one mask selects."""
    name = op.value
    masks = [a.mask for a in arguments if isinstance(a, Selection)]
    plain = [a.source if isinstance(a, Selection) else value_of(a, name) for a in arguments]
    if masks:
        _check_selected(name, arguments, masks)
    result = elementwise.elementwise(op, function, *plain)
    return Selection(result, masks[0]) if masks else result


def _check_selected(name: str, arguments: tuple[Lifted, ...], masks: list[Value]) -> None:
    """Whether what one mask selects has the same place in all arguments.

    Raises:
        NotLifted: It has not.
    """
    ranks = {len(a.source.shape) for a in arguments if isinstance(a, Selection)}
    beside = max(ranks) - len(masks[0].shape)
    outside = [a for a in arguments if isinstance(a, Value) and len(a.shape) > beside]
    if outside or any(not elementwise.same_elements(m, masks[0]) for m in masks):
        raise NotLifted(f"{name} of elements that different masks select")
    if len(ranks) > 1:
        raise NotLifted(f"{name} of selected rows and elements")


def _ufunc_method(known: Call, ufunc: str, method: str) -> Lifted:
    if method == "outer":
        return products.outer(_UFUNCS[ufunc], of_numpy(ufunc), *known.only(2))
    if ufunc not in _OF_UFUNCS:
        raise NotLifted(f"a call of {known.name}")
    given = {"axis": literal(0), **known.bound("a", "axis", "dtype", "out", "keepdims")}
    kind = _OF_UFUNCS[ufunc].value
    return reductions.HANDLERS[kind](Call(known.builder, kind, (), given))


def _builtin(  # noqa: C901, PLR0911  (a dispatch)
    builder: Builder, name: str, arguments: list[Lifted], keywords: Mapping[str, Lifted]
) -> Lifted:
    if keywords:
        raise NotLifted(f"a call of {name} with keywords")
    given = arguments
    if name == "len" and len(arguments) == 1:
        owner = arguments[0]
        if isinstance(owner, tuple):
            return literal(len(owner))
        return length(builder, owner if isinstance(owner, Selection) else value_of(owner, name))
    if name in ("sum", "min", "max") and len(arguments) == 1 and isinstance(arguments[0], tuple):
        arguments = list(arguments[0])
    values = tuple(value_of(a, name) for a in arguments)
    if name == "abs" and len(values) == 1:
        return elementwise.elementwise(Op.ABSOLUTE, abs, *values)
    if name in ("min", "max"):
        return elementwise.extreme(Op.SMALLER if name == "min" else Op.LARGER, values)
    if name == "divmod" and len(values) == 2:
        whole = elementwise.elementwise(Op.FLOOR_DIVIDE, floordiv, *values)
        return whole, elementwise.elementwise(Op.REMAINDER, mod, *values)
    if name == "pow" and len(values) == 2:
        return elementwise.elementwise(Op.POWER, power, *values)
    if name == "sum" and values and isinstance(given[0], tuple):
        return _summed(values)
    if name == "sum" and len(values) == 1:
        return reductions.summed_rows(builder, values[0])
    raise NotLifted(f"a call of {name} here")


def _summed(parts: tuple[Value, ...]) -> Value:
    total = literal(0)
    for part in parts:
        total = elementwise.elementwise(Op.ADD, add, total, part)
    return total


def _of_math(name: str, arguments: list[Lifted]) -> Value:
    """`math` functions give Python floats."""
    name = "absolute" if name == "fabs" else _ALIASES.get(name, name)
    values = [value_of(a, name) for a in arguments]
    if name not in _OF_MATH or any(v.is_array or v.dtype[0] == "c" for v in values):
        raise NotLifted(f"math.{name}")
    floats = [elementwise.converted(v, "float64", weak=True) for v in values]
    result = elementwise.elementwise(_UFUNCS[name], of_numpy(name), *floats)
    return Value(result.dtype, (), result.at, weak=True)


# --- Elementwise functions that are no ufuncs of the same name ------------------------------------


def _where(call: Call) -> Lifted:
    if call.keywords or len(call.arguments) != 3:
        raise NotLifted("np.where with one argument")
    return elementwise.where(*call.only(3))


def _clip(call: Call) -> Lifted:
    names = {"min": "a_min", "max": "a_max"}  # of the method, and of the function in NumPy 2
    keywords = {names.get(k, k): v for k, v in call.keywords.items()}
    given = replace(call, keywords=keywords).bound("a", "a_min", "a_max")
    value = value_of(given["a"], call.name)
    low, high = given.get("a_min"), given.get("a_max")
    if low is not None:
        value = elementwise.elementwise(Op.MAXIMUM, np.maximum, value, value_of(low, "clip"))
    if high is not None:
        value = elementwise.elementwise(Op.MINIMUM, np.minimum, value, value_of(high, "clip"))
    return value


def _square(call: Call) -> Lifted:
    (value,) = call.only(1)
    return elementwise.elementwise(Op.MULTIPLY, np.multiply, value, value)


def _reciprocal(call: Call) -> Lifted:
    (value,) = call.only(1)
    if value.dtype[0] not in "fc":
        raise NotLifted("np.reciprocal of integers")
    return elementwise.elementwise(Op.DIVIDE, np.divide, literal(1), value)


def _degrees(call: Call) -> Lifted:
    (value,) = call.only(1)
    factor = 180.0 / np.pi if call.name in ("degrees", "rad2deg") else np.pi / 180.0
    return elementwise.elementwise(Op.MULTIPLY, np.multiply, value, literal(factor))


def _fabs(call: Call) -> Lifted:
    (value,) = call.only(1)
    if value.dtype[0] != "f":
        raise NotLifted(f"np.fabs of {value.dtype}")
    return elementwise.elementwise(Op.ABSOLUTE, np.absolute, value)


def _isinf(call: Call) -> Lifted:
    (value,) = call.only(1)
    if value.dtype[0] != "f":
        raise NotLifted(f"np.isinf of {value.dtype}")
    size_of = elementwise.elementwise(Op.ABSOLUTE, np.absolute, value)
    return elementwise.comparison(Op.EQUAL, np.equal, size_of, literal(float("inf")))


def _without_nan(call: Call) -> Lifted:
    """0 for NaN, and the largest numbers for infinities."""
    (value,) = call.only(1)
    if value.dtype[0] != "f":
        raise NotLifted(f"np.nan_to_num of {value.dtype}")
    limits = np.finfo(value.dtype)
    low, high = (scalar_value(Constant(float(x), value.dtype)) for x in (limits.min, limits.max))
    bounded = elementwise.elementwise(Op.MINIMUM, np.minimum, value, high)
    bounded = elementwise.elementwise(Op.MAXIMUM, np.maximum, bounded, low)
    is_nan = elementwise.elementwise(Op.ISNAN, np.isnan, value)
    return elementwise.where(is_nan, scalar_value(Constant(0.0, value.dtype)), bounded)


def _exp2(call: Call) -> Lifted:
    (value,) = call.only(1)
    dtype, _ = result_type(np.exp2, value)
    return elementwise.elementwise(Op.POWER, np.power, scalar_value(Constant(2.0, dtype)), value)


def _rint(call: Call) -> Lifted:
    """Halves go to the even neighbour; `np.round` to whole numbers is the same."""
    given = call.bound("a", "decimals")
    value = value_of(given["a"], call.name)
    if value.dtype[0] != "f" or literal_of(given.get("decimals", literal(0)), "decimals"):
        raise NotLifted(f"np.{call.name} of {value.dtype}, or to decimals")
    weak, mapped = value.weak, elementwise.elementwise
    below = mapped(Op.FLOOR, np.floor, value)
    rest = mapped(Op.SUBTRACT, np.subtract, value, below)
    above = mapped(Op.ADD, np.add, below, literal(1.0))
    odd = mapped(Op.REMAINDER, np.remainder, below, literal(2.0))
    up = elementwise.comparison(Op.GREATER, np.greater, rest, literal(0.5))
    half = elementwise.comparison(Op.EQUAL, np.equal, rest, literal(0.5))
    is_odd = elementwise.comparison(Op.EQUAL, np.equal, odd, literal(1.0))
    goes_up = elementwise.logical(Op.LOGICAL_OR, up, elementwise.logical(_AND, half, is_odd))
    return replace(elementwise.where(goes_up, above, below), weak=weak)


_AND = Op.LOGICAL_AND


def _angle(call: Call) -> Lifted:
    (value,) = call.only(1)
    if value.dtype[0] != "c":
        raise NotLifted(f"np.angle of {value.dtype}")
    parts = (view(value, name) for name in ("imag", "real"))
    return elementwise.elementwise(Op.ARCTAN2, np.arctan2, *parts)


def _item(call: Call) -> Lifted:
    value = value_of(call.arguments[0], "item")
    if value.is_array or call.keywords or len(call.arguments) > 1:
        raise NotLifted("item of an array")
    weak = {"b": "bool", "i": "int64", "u": "int64", "f": "float64", "c": "complex128"}
    if value.dtype == "uint64":
        raise NotLifted("item of a uint64, which may not fit")
    return elementwise.converted(value, weak[np.dtype(value.dtype).kind], weak=True)


_HANDLERS: dict[str, Handler] = {
    **creation.HANDLERS,
    **shaping.HANDLERS,
    **differences.HANDLERS,
    **members.HANDLERS,
    **histograms.HANDLERS,
    **covariances.HANDLERS,
    **repeating.HANDLERS,
    **reductions.HANDLERS,
    **products.HANDLERS,
    "where": _where,
    "clip": _clip,
    "square": _square,
    "reciprocal": _reciprocal,
    "degrees": _degrees,
    "rad2deg": _degrees,
    "radians": _degrees,
    "deg2rad": _degrees,
    "fabs": _fabs,
    "isinf": _isinf,
    "exp2": _exp2,
    "nan_to_num": _without_nan,
    "item": _item,
    "rint": _rint,
    "round": _rint,
    "around": _rint,
    "angle": _angle,
}
