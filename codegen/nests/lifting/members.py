"""Members of captured modules that are known while lifting."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import numpy as np

from outpace.codegen.nests.ir import Constant
from outpace.codegen.nests.lifting.calls import Call, Handler, dtype_of
from outpace.codegen.nests.lifting.values import (
    DType,
    Lifted,
    NamedFunction,
    literal,
    scalar_value,
)
from outpace.errors import NotLifted

_LIMITS = {"numpy.finfo": np.finfo, "numpy.iinfo": np.iinfo}


def captured(modules: Mapping[str, str], imports: Mapping[str, str]) -> dict[str, Lifted]:
    """What the captured modules, and what is imported from one, stand for.

    Args:
        modules: Names of modules by the names they have here.
        imports: The import statement of every name.
    """
    found: dict[str, Lifted] = {name: NamedFunction(m, "") for name, m in modules.items()}
    for name, text in imports.items():
        match ast.parse(text).body:
            case [ast.ImportFrom(module=str(module), names=[ast.alias(name=member)])]:
                found[name] = module_member(module, member)
            case _:
                pass
    return found


def module_member(module: str, name: str) -> Lifted:
    """What `module.name` is: a number, a dtype, or a function."""
    described, _, dtype = module.rpartition(".")
    if described in _LIMITS:
        return _limit(described, dtype, name)
    if module not in ("numpy", "math"):
        return NamedFunction(module, name)
    if name in ("pi", "e", "inf", "nan"):
        return literal(float(getattr(np, name)))
    if module == "numpy" and name == "newaxis":
        return None
    found = getattr(np, name, None) if module == "numpy" else None
    if isinstance(found, type) and issubclass(found, np.generic):
        return DType(np.dtype(found).name)
    return NamedFunction(module, name)


def _limit(described: str, dtype: str, name: str) -> Lifted:
    """A limit of a dtype, such as `np.finfo(dtype).eps`."""
    value = getattr(_LIMITS[described](dtype), name, None)
    if isinstance(value, np.floating):
        return scalar_value(Constant(float(value), value.dtype.name))
    if isinstance(value, int):
        return literal(value)
    raise NotLifted(f"{described}(...).{name}")


def _limits(call: Call) -> Lifted:
    """`np.finfo(dtype)` and `np.iinfo(dtype)`, of which members are asked for."""
    given = call.bound("dtype")
    dtype = dtype_of(given["dtype"], "float64")
    kinds = "iu" if call.name == "iinfo" else "f"
    if np.dtype(dtype).kind not in kinds or np.dtype(dtype).itemsize > 8:
        raise NotLifted(f"np.{call.name} of {dtype}")
    return NamedFunction(f"numpy.{call.name}", dtype)


HANDLERS: dict[str, Handler] = {"finfo": _limits, "iinfo": _limits}
