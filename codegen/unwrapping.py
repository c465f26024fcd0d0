"""What a value that is no NumPy array is, and how to get arrays out of it.

Told by the name of the type and of its package, so that nothing needs to be imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from outpace.codegen.contract import SUPPORTED_DTYPES

_XARRAY = {"DataArray": "{0}.values", "Dataset": '{0}["temperature"].values', "Variable": "{0}.values"}
_PANDAS = {
    "DataFrame": '{0}["temperature"].to_numpy()',
    "Series": "{0}.to_numpy()",
    "Index": "{0}.to_numpy()",
}


def how_to_unwrap(name: str, value: Any) -> str | None:
    """What to write instead of a wrapped array, one sentence; None if it is none.

    Args:
        name: Of the argument; for a hint it stands for the value.
        value: What was passed.
    """
    for kind in type(value).__mro__:
        package = kind.__module__.partition(".")[0]
        known = {"xarray": _XARRAY, "pandas": _PANDAS}.get(package, {})
        if kind.__name__ in known:
            article = "an" if package == "xarray" else "a"
            hint = known[kind.__name__].format(name)
            return (
                f"{name} is {article} {package} {kind.__name__}; pass the array it holds, "
                f"`{hint}`, and wrap the result again"
            )
    return None


def obstacle_of_value(name: str, value: Any) -> str | None:
    """Why a reference cannot take a value as it is, and what to pass instead; None if it can."""
    wrapped = how_to_unwrap(name, value)
    if wrapped is not None:
        return wrapped
    if isinstance(value, bool | int | float | complex):
        return None
    if isinstance(value, np.ndarray | np.generic):
        return _obstacle_of_array(name, value)
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    if package == "torch":
        return f"{name} is a torch tensor; pass `{name}.numpy()`, which copies nothing on the CPU"
    if isinstance(value, list | tuple):
        return f"{name} is a {kind.__name__}; pass an array, `np.asarray({name})`"
    if value is None or isinstance(value, str):
        return (
            f"{name} is {value!r}; a reference takes arrays and numbers alone: write one function "
            "for each such value"
        )
    if callable(value):
        return (
            f"{name} is a function; write one function for each that is passed, "
            "or pass the array that it gives"
        )
    if isinstance(value, dict):
        hint = next((f"`{name}[{key!r}]`" for key in value), "each of its values")
        return f"{name} is a dict; pass the arrays and numbers in it as arguments, {hint} and so on"
    held = [key for key, part in vars(value).items() if isinstance(part, np.ndarray)] if hasattr(
        value, "__dict__"
    ) else []
    hint = ", ".join(f"`{name}.{key}`" for key in held[:3]) or "the arrays and numbers it holds"
    return f"{name} is an object of class {kind.__name__}; pass {hint} as arguments instead"


def _obstacle_of_array(name: str, value: Any) -> str | None:
    if type(value) is not np.ndarray and not isinstance(value, np.generic):
        return f"{name} is a {type(value).__name__}; pass a plain array, `np.asarray({name})`"
    if value.dtype.name not in SUPPORTED_DTYPES or not value.dtype.isnative:
        return (
            f"{name} has dtype {value.dtype}; supported are {', '.join(SUPPORTED_DTYPES)} in this "
            "machine's byte order"
        )
    return None
