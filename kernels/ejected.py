"""Runs kernels that `outpace eject` has taken out of a project.

This file is copied as it is. It needs NumPy, Numba for kernels in Python, and for kernels in C a C
compiler at the first use on a machine; outpace is not needed.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import inspect
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import numpy as np

Affine = tuple[int, dict[str, int]]
"""An extent: a constant, and names with their factors."""


@dataclass(frozen=True)
class Array:
    """An argument or an output.

    Attributes:
        name: As the reference calls it; `out0` and so on for outputs.
        dtype: Name of its NumPy type.
        dims: One extent an axis; None for a scalar argument.
        returned: For an output that is a scalar, `python` or `numpy`; else `array`.
    """

    name: str
    dtype: str
    dims: tuple[Affine, ...] | None
    returned: str = "array"


@dataclass(frozen=True)
class Kernel:
    """One kernel.

    Attributes:
        file: Its source, beside this file.
        confirmed: Sizes at which it was shown to be right and faster; it runs for sizes within 0.5
            to 2 times each of them.
        flags: Options of the C compiler.
        dims: Sizes that a kernel in C takes before its arguments.
    """

    file: str
    confirmed: tuple[dict[str, int], ...]
    flags: tuple[str, ...] = ()
    dims: tuple[str, ...] = ()
    refused: tuple[dict[str, int], ...] = ()
    """Sizes at which the reference raises."""


class Ejected:
    """A function that runs a kernel where one was confirmed, and its reference elsewhere.

    Args:
        reference: The function as it was written.
        arguments: In the order of the signature.
        outputs: In the order in which they are returned.
        kernels: To choose from.
        is_tuple: Whether the function returns a tuple.
        allows: Whether sizes are within the domain of the function.
    """

    def __init__(
        self,
        reference: Callable[..., Any],
        arguments: Sequence[Array],
        outputs: Sequence[Array],
        kernels: Sequence[Kernel],
        is_tuple: bool,
        allows: Callable[..., bool] = lambda **_: True,
    ) -> None:
        self.reference = reference
        self._arguments = arguments
        self._outputs = outputs
        self._kernels = kernels
        self._is_tuple = is_tuple
        self._allows = allows
        self._signature = inspect.signature(reference)
        self._loaded: dict[str, Callable[..., None]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As the reference; arrays must be C-contiguous, or the reference runs."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = [bound.arguments[a.name] for a in self._arguments]
        sizes = self._sizes(values)
        kernel = None if sizes is None else self.kernel_for(sizes)
        if sizes is None or kernel is None:
            return self.reference(*args, **kwargs)
        outputs = [np.empty(_shape(o, sizes), o.dtype) for o in self._outputs]
        if kernel.file not in self._loaded:
            self._loaded[kernel.file] = self._load(kernel)
        self._loaded[kernel.file](*(sizes[name] for name in kernel.dims), *values, *outputs)
        return self._returned(outputs)

    def kernel_for(self, sizes: dict[str, int]) -> Kernel | None:
        """The kernel that was confirmed nearest to these sizes, or None."""
        if not self._allows(**sizes):
            return None
        near = [
            (sum(abs(log(sizes[n] / size)) for n, size in confirmed.items() if size), i)
            for i, kernel in enumerate(self._kernels)
            for confirmed in kernel.confirmed
            if sizes not in kernel.refused
            and all(_is_near(size, sizes[n]) for n, size in confirmed.items())
        ]
        return self._kernels[min(near)[1]] if near else None

    def _returned(self, outputs: Sequence[np.ndarray[Any, Any]]) -> Any:
        parts: list[Any] = []
        for output, array in zip(self._outputs, outputs, strict=True):
            if output.returned == "array":
                parts.append(array)
            else:
                parts.append(array.item() if output.returned == "python" else array[0])
        if self._is_tuple:
            return tuple(parts)
        return parts[0] if parts else None

    def _sizes(self, values: Sequence[Any]) -> dict[str, int] | None:
        """All sizes, or None where a value is not what a kernel takes."""
        named = list(zip(self._arguments, values, strict=True))
        if not all(_fits(a, v) for a, v in named):
            return None
        if _overlap([v for a, v in named if a.dims is not None]):
            return None
        sizes = {a.name: int(v) for a, v in named if a.dims is None and _is_integer(a)}
        pending = [
            (affine, extent)
            for a, value in named
            for affine, extent in zip(a.dims or (), np.shape(value), strict=True)
        ]
        while pending:
            solvable = [e for e in pending if len(e[0][1].keys() - sizes.keys()) <= 1]
            if not solvable:
                return None
            pending = [e for e in pending if e not in solvable]
            for (constant, terms), extent in solvable:
                rest = extent - constant - sum(f * sizes.get(n, 0) for n, f in terms.items())
                unknown = terms.keys() - sizes.keys()
                for name in unknown:
                    sizes[name], rest = divmod(rest, terms[name])
                if rest:
                    return None
        return sizes

    # --- Kernels --------------------------------------------------------------------------------

    def _load(self, kernel: Kernel) -> Callable[..., None]:
        path = Path(__file__).with_name(kernel.file)
        if path.suffix == ".py":
            spec = importlib.util.spec_from_file_location(f"{__name__}.{path.stem}", path)
            assert spec is not None and spec.loader is not None  # noqa: PT018
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            found: Callable[..., None] = module.kernel
            return found
        function = ctypes.CDLL(str(build(kernel))).kernel
        function.restype = None
        arrays = [*self._arguments, *self._outputs]
        function.argtypes = [ctypes.c_int64] * len(kernel.dims) + [_c_type(a) for a in arrays]
        return function


def build(kernel: Kernel) -> Path:
    """Compile a kernel in C into ~/.cache/ejected-kernels, unless that was done before.

        cc -std=c17 -O3 -march=native -fopenmp -fPIC <flags> -c kernel.c
        cc -fopenmp -shared kernel.o -lm

    In two steps, because linking with -ffast-math would change the floating point of the process.

    Raises:
        FileNotFoundError: There is no C compiler.
        subprocess.CalledProcessError: It fails; what it says is on standard error.
    """
    source = Path(__file__).with_name(kernel.file)
    compiler = shutil.which("cc") or shutil.which("gcc") or "cc"
    options = ["-std=c17", "-D_GNU_SOURCE", "-O3", "-march=native", "-fopenmp", "-fPIC"]
    told = [source.read_text(encoding="utf-8"), compiler, *kernel.flags, *platform.uname()]
    name = f"{source.stem}-{hashlib.sha256(repr(told).encode()).hexdigest()[:16]}.so"
    folder = Path.home() / ".cache" / "ejected-kernels"
    if not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            unit, library = f"{scratch}/kernel.o", f"{scratch}/kernel.so"
            compiled = [compiler, *options, *kernel.flags, "-c", str(source), "-o", unit]
            subprocess.run(compiled, check=True)
            linked = [compiler, "-fopenmp", "-shared", unit, "-lm", "-o", library]
            subprocess.run(linked, check=True)
            Path(library).replace(folder / name)
    return folder / name


def _c_type(array: Array) -> Any:
    if array.dims is not None:
        return np.ctypeslib.ndpointer(dtype=array.dtype, flags="C_CONTIGUOUS")
    return np.ctypeslib.as_ctypes_type(np.dtype(array.dtype))


def _shape(output: Array, sizes: dict[str, int]) -> tuple[int, ...]:
    return tuple(c + sum(f * sizes[n] for n, f in terms.items()) for c, terms in output.dims or ())


def _fits(argument: Array, value: Any) -> bool:
    dtype = np.dtype(argument.dtype)
    if argument.dims is None:
        kinds = {"b": bool, "i": int, "u": int, "f": float, "c": complex}
        return type(value) is kinds[dtype.kind] or (
            isinstance(value, np.generic) and value.dtype == dtype
        )
    return (
        type(value) is np.ndarray
        and value.dtype == dtype
        and value.ndim == len(argument.dims)
        and value.flags.carray
    )


def _is_integer(argument: Array) -> bool:
    return np.dtype(argument.dtype).kind in "iu"


def _overlap(arrays: Sequence[Any]) -> bool:
    return any(np.may_share_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def _is_near(confirmed: int, size: int) -> bool:
    if confirmed == 0 or (confirmed < 0) != (size < 0):
        return size == confirmed
    return abs(confirmed) <= 2 * abs(size) and abs(size) <= 2 * abs(confirmed)
