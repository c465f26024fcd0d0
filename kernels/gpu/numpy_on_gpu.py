"""A reference under CuPy: the same source, with CuPy where it says NumPy.

It is a baseline, not a truth: whether it runs, and gives what the reference gives, the judge finds
out on drawn cases.
"""

from __future__ import annotations

import ast
import builtins
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from outpace.codegen.source import SourceClosure, without_annotations


def function_on_gpu(closure: SourceClosure) -> Callable[..., Any]:
    """Compile a copy of a function and of its helpers that takes and makes arrays on the GPU.

    Raises:
        ImportError: It imports something of NumPy that CuPy lacks.
    """
    import cupy  # noqa: PLC0415  (only where there is a GPU)

    text = [*closure.imports.values(), *map(without_annotations, closure.functions.values())]
    namespace: dict[str, Any] = {
        "__name__": "outpace_on_gpu",
        "__builtins__": {**vars(builtins), "__import__": _import},
        **{name: _constant(cupy, value) for name, value in closure.constants.items()},
    }
    code = compile(ast.parse("\n".join(text)), "<on the GPU>", "exec")
    exec(code, namespace)  # noqa: S102  (the user's own code)
    function: Callable[..., Any] = namespace[closure.name]
    return function


def _import(
    name: str, globals_: Any = None, locals_: Any = None, wanted: Any = (), level: int = 0
) -> ModuleType:
    """As the import statement asks for it, with CuPy for NumPy."""
    package, dot, rest = name.partition(".")
    if package != "numpy":
        return __import__(name, globals_, locals_, wanted, level)
    module = importlib.import_module(f"cupy{dot}{rest}")
    return module if wanted else importlib.import_module("cupy")


def _constant(cupy: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return cupy.asarray(value)
    if isinstance(value, tuple):
        return tuple(_constant(cupy, item) for item in value)
    return value
