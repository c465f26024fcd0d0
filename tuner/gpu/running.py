"""In a process whose calls take arrays on a GPU: it keeps these arrays, runs calls and times them.

What runs here is trusted code: the reference, or the launcher with the device code of a draft. So
this process may hold the clock. A call of a microsecond could not be timed from outside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from outpace.codegen.abi import Role, Slot, slots
from outpace.codegen.reference import load_function
from outpace.codegen.source import closure_of
from outpace.codegen.structured import FlatFunction
from outpace.kernels.dispatcher import Returns
from outpace.kernels.gpu.numpy_on_gpu import function_on_gpu
from outpace.kernels.gpu.timing import BatchTime, CacheFlush, time_batch
from outpace.kernels.languages.base import InvalidDraft, Kernel
from outpace.kernels.languages.cuda import CUDA
from outpace.model import Contract
from outpace.tuner.arena import Mapping

_MARGIN = 512
"""Bytes before and after each array that nobody may write to; keeps the alignment of the pool."""
_FLUSHES = 6
"""Writes over the second-level cache before a request: one empties it, more wake the clocks."""
_ALLOCATIONS = 100


@dataclass(frozen=True)
class _Array:
    """An array on the GPU with its margins."""

    slot: Slot
    whole: Any
    array: Any
    byte: int

    @classmethod
    def like(cls, cupy: Any, slot: Slot, host: np.ndarray[Any, Any], byte: int) -> _Array:
        whole = cupy.empty(host.nbytes + 2 * _MARGIN, "uint8")
        inner = whole[_MARGIN : _MARGIN + host.nbytes]
        return cls(slot, whole, inner.view(host.dtype).reshape(host.shape), byte)

    @property
    def _edges(self) -> tuple[Any, Any]:
        """The margins, each a view."""
        return self.whole[:_MARGIN], self.whole[self.whole.size - _MARGIN :]

    def fill(self, host: np.ndarray[Any, Any]) -> None:
        """Give it values, and its margins their pattern."""
        for edge in self._edges:  # not by assignment, for which CuPy compiles a kernel
            edge.data.memset_async(self.byte, _MARGIN)
        self.array.set(np.ascontiguousarray(host))

    def offence(self, host: np.ndarray[Any, Any]) -> str | None:
        """What was done to it that may not be, or None."""
        if any((edge.get() != self.byte).any() for edge in self._edges):
            return f"it writes outside {self.slot.name}"
        if self.slot.role is Role.INPUT and self.array.get().tobytes() != host.tobytes():
            return f"it changes its input {self.slot.name}"
        return None


@dataclass(frozen=True)
class _Held:
    """One call: values of the host in calling order, and its arrays on the GPU by position."""

    host: list[Any]
    arrays: dict[int, _Array]

    @property
    def arguments(self) -> list[Any]:
        """What is called with."""
        return [
            self.arrays[i].array if i in self.arrays else value for i, value in enumerate(self.host)
        ]


class OnGpu:
    """Runs a function over arrays on the GPU, as `worker` runs others."""

    compiled = True

    def __init__(self, contract: Contract, load: Callable[[], Callable[..., Any]]) -> None:
        """Take what gives a function over `slots(contract)`, or over the inputs among them."""
        import cupy  # noqa: PLC0415  (only where there is a GPU)

        self._cupy = cupy
        self._slots = slots(contract)
        self._load = load
        self._function = load()
        self._flush = CacheFlush()
        self._returned: list[Any] = []
        self._timed: BatchTime | None = None
        self._rng = np.random.default_rng()

    def given(self, arguments: list[Any]) -> _Held:
        """Memory on the GPU for these arguments, which is not timed."""
        byte = int(self._rng.integers(1, 255))
        arrays = {
            i: _Array.like(self._cupy, slot, value, byte)
            for i, (slot, value) in enumerate(zip(self._slots, arguments, strict=False))
            if slot.role is not Role.SCALAR
        }
        return _Held(arguments, arrays)

    def __call__(self, batch: Sequence[_Held]) -> None:
        """Run the batch between two events, from an idle device to an idle device."""
        calls = [held.arguments for held in batch]
        waiting = iter(calls)
        self._returned = []
        self._timed = time_batch(
            lambda: self._returned.append(self._function(*next(waiting))), len(calls), self._wake
        )

    def _wake(self) -> None:
        """Empty the second-level cache, which takes long enough for clocks to rise."""
        for _ in range(_FLUSHES):
            self._flush()

    def do(self, message: dict[str, Any], batch: Sequence[_Held]) -> dict[str, Any]:
        """What is asked for beside calls.

        That is to `upload`, tell what was `timed`, `reload`, `download`, or `allocate there`.
        """
        match message["do"]:
            case "upload":
                for held in batch:
                    for i, array in held.arrays.items():
                        array.fill(held.host[i])
                self._cupy.cuda.Device().synchronize()
            case "timed" if self._timed is not None:
                return {"events": self._timed.events, "wall": self._timed.wall}
            case "reload":
                self._function = self._load()
            case "download":
                return {"offence": self._downloaded(batch)}
            case "allocate there":
                return {"seconds": self._allocation_seconds(message["arrays"])}
        return {}

    def publish(self, batch: Sequence[_Held], items: Any, outputs: Mapping) -> None:
        """Copy what the reference has changed or returned to the host."""
        for held, returned, places in zip(batch, self._returned, items, strict=True):
            for i, array in held.arrays.items():
                if array.slot.role is Role.INOUT:
                    held.host[i][...] = array.array.get()
            parts = returned if isinstance(returned, tuple) else (returned,)
            for part, place in zip(parts, places, strict=False):
                outputs.at(place)[...] = part.get() if hasattr(part, "get") else part
        self._returned = []

    def _downloaded(self, batch: Sequence[_Held]) -> str | None:
        """Results go to the host; what was done that may not be, or None."""
        for held in batch:
            for i, array in held.arrays.items():
                offence = array.offence(held.host[i])
                if offence is not None:
                    return offence
                if array.slot.role is not Role.INPUT:
                    held.host[i][...] = array.array.get()
        return None

    def _allocation_seconds(self, arrays: Sequence[tuple[list[int], str]]) -> float:
        """To take these arrays from CuPy's pool, as a caller's dispatcher does."""
        costs = []
        for _ in range(_ALLOCATIONS):
            begin = time.perf_counter()
            taken = [self._cupy.empty(shape, dtype) for shape, dtype in arrays]
            costs.append(time.perf_counter() - begin)
            del taken
        return float(median(costs))


def kernel_on_gpu(
    language: str,
    source: Path,
    contract: Contract,
    cache: Path,
    served: dict[str, Any] | None,
) -> OnGpu:
    """A built draft.

    Args:
        language: It is written in.
        source: Its bound source.
        contract: Of the reference.
        cache: What was built from it.
        served: Fields of `Returns`, where it is to be called as a promotion is; else None.

    Raises:
        InvalidDraft: Its language has no kernels over arrays on a GPU.
        BuildError: It cannot be loaded.
    """
    if language != CUDA.name:
        raise InvalidDraft(f"{language} has no kernels that take arrays on a GPU; write CUDA")
    load = partial(CUDA.load_on_gpu, source, contract, cache)
    if served is None:
        return OnGpu(contract, load)
    returns = Returns(**served)
    return OnGpu(contract, lambda: _as_served(load(), contract, returns))


def _as_served(kernel: Kernel, contract: Contract, returns: Returns) -> Callable[..., Any]:
    """A function over the judge's arrays that calls a kernel as it will be served.

    The call gets arrays as a user has them, straight from CuPy's pool, without margins and with
    nothing poisoned. What the user would have then is copied to where the judge looks.
    """
    import cupy  # noqa: PLC0415

    from outpace.kernels.gpu.serving import carried_out, fitted  # noqa: PLC0415  (rehearsals only)
    from outpace.kernels.serve import returned  # noqa: PLC0415

    listed = slots(contract)

    def call(*arguments: Any) -> None:
        by_slot = list(zip(listed, arguments, strict=True))
        own = {
            slot.name: value.copy() if isinstance(value, cupy.ndarray) else value
            for slot, value in by_slot
            if slot.role is not Role.OUTPUT
        }
        outputs = carried_out(contract, kernel, fitted(contract, own), None)
        value = returned(contract, returns, outputs)
        parts = value if isinstance(value, tuple) else (value,)
        results = [array for slot, array in by_slot if slot.role is Role.OUTPUT]
        for place, part in zip(results, parts, strict=False):
            if isinstance(part, cupy.ndarray):
                cupy.copyto(place, part.reshape(place.shape))
            else:
                place.set(np.full(place.shape, part, place.dtype))
        for slot, array in by_slot:
            if slot.role is Role.INOUT:
                cupy.copyto(array, own[slot.name])

    return call


def reference_on_gpu(location: tuple[str, str], contract: Contract, *, with_cupy: bool) -> OnGpu:
    """The reference: under CuPy, or under NumPy with its arrays carried to the host and back."""
    function = load_function(*location)
    if with_cupy:
        plain = function.written if isinstance(function, FlatFunction) else function
        return OnGpu(contract, partial(function_on_gpu, closure_of(plain)))
    return OnGpu(contract, partial(_carrying, function, contract))


def _carrying(function: Callable[..., Any], contract: Contract) -> Callable[..., Any]:
    import cupy  # noqa: PLC0415

    mutated = [i for i, argument in enumerate(contract.arguments) if argument.mutated]

    def call(*arguments: Any) -> Any:
        host = [value.get() if hasattr(value, "get") else value for value in arguments]
        returned = function(*host)
        for i in mutated:
            arguments[i].set(host[i])
        parts = returned if isinstance(returned, tuple) else (returned,)
        return tuple(cupy.asarray(part) for part in parts if part is not None)

    return call
