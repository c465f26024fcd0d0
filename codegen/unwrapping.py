"""What a value that is no NumPy array is, and how to get arrays out of it.

Told by the name of the type and of its package, so that nothing needs to be imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from outpace.codegen.contract import SUPPORTED_DTYPES

_XARRAY = {
    "DataArray": "{0}.values",
    "Dataset": "{0}[{1!r}].values",
    "Variable": "{0}.values",
}
_PANDAS = {
    "DataFrame": "{0}[{1!r}].to_numpy()",
    "Series": "{0}.to_numpy()",
    "Index": "{0}.to_numpy()",
}
_WRAPPERS = {"xarray": _XARRAY, "pandas": _PANDAS}


def how_to_unwrap(name: str, value: Any) -> str | None:
    """What to write instead of a wrapped array, one sentence; None if it is none.

    Args:
        name: Of the argument; for a hint it stands for the value.
        value: What was passed.
    """
    for kind in type(value).__mro__:
        package = kind.__module__.partition(".")[0]
        known = _WRAPPERS.get(package, {})
        if kind.__name__ in known:
            article = "an" if package == "xarray" else "a"
            first = next(iter(value), "name") if "[" in known[kind.__name__] else ""
            hint = known[kind.__name__].format(name, first)
            return (
                f"{name} is {article} {package} {kind.__name__}; pass the array it holds, "
                f"`{hint}`, and wrap the result again"
            )
    return None


def obstacle_of_value(name: str, value: Any) -> str | None:
    """Why a reference cannot take a value as it is, and what to pass instead; None if it can."""
    if isinstance(value, np.ndarray | np.generic):
        return _obstacle_of_array(name, value)
    if isinstance(value, bool | int | float | complex):
        return None
    return how_to_unwrap(name, value) or _obstacle_of_object(name, value)


def _obstacle_of_array(name: str, value: Any) -> str | None:
    if type(value) is not np.ndarray and not isinstance(value, np.generic):
        return f"{name} is a {type(value).__name__}; pass a plain array, `np.asarray({name})`"
    if value.dtype.name not in SUPPORTED_DTYPES or not value.dtype.isnative:
        return (
            f"{name} has dtype {value.dtype}; supported are {', '.join(SUPPORTED_DTYPES)} in this "
            "machine's byte order"
        )
    return None


def _obstacle_of_object(name: str, value: Any) -> str:
    kind = type(value).__name__
    if value is None or isinstance(value, str):
        hint = "write one function for each such value"
        return f"{name} is {value!r}; a reference takes arrays and numbers alone: {hint}"
    if hasattr(value, "__dlpack__"):
        package = type(value).__module__.partition(".")[0]
        hint = f"`np.from_dlpack({name})`, which copies nothing on the CPU"
        return f"{name} is a {package} {kind}; pass {hint}"
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return f"{name} is a {kind}; pass an array, `np.asarray({name})`"
    if isinstance(value, dict):
        held = [f"`{name}[{key!r}]`" for key, part in value.items() if _is_data(part)]
        return f"{name} is a dict; pass {_first_of(held)} instead"
    if callable(value):
        return f"{name} is a function; write one function for each, or pass the array it gives"
    names = [getattr(type(value), known, ()) for known in ("_fields", "__dataclass_fields__")]
    fields = [*names[0], *names[1]] or getattr(value, "__dict__", {})
    held = [f"`{name}.{k}`" for k in fields if _is_data(getattr(value, k, None))]
    return f"{name} is an object of class {kind}; pass {_first_of(held)} instead"


def _first_of(expressions: list[str]) -> str:
    return ", ".join(expressions[:3]) or "the arrays and numbers it holds"


def _is_data(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic | int | float | complex)
