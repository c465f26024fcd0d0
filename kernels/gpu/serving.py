"""Serving calls whose arrays are on a GPU: which promotion runs, or why the reference does.

Work is enqueued on CuPy's current stream, as CuPy's own functions do; who reads results through
another library synchronises as that library asks for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from outpace.codegen.abi import output_shapes
from outpace.codegen.contract import size_names
from outpace.codegen.dims import bind_shapes
from outpace.codegen.reference import Reference
from outpace.errors import ContractError, OutpaceError
from outpace.kernels import builds, usage
from outpace.kernels.arguments import Unfit, fit_scalar
from outpace.kernels.forking import GUARD
from outpace.kernels.gpu.calling import device_array
from outpace.kernels.gpu.keeping import keep_on_device
from outpace.kernels.languages.base import BuildError, InvalidDraft, Kernel
from outpace.kernels.nearness import nearest, usable
from outpace.kernels.promotions import PromotionWarning, StoredPromotion
from outpace.kernels.sampling import sampler
from outpace.model import Contract, Evidence

_ON_CPU = 1  # kDLCPU in dlpack.h


@dataclass(frozen=True)
class Given:
    """Inputs of a call in calling order, as a kernel takes them, and their sizes."""

    inputs: list[Any]
    sizes: dict[str, int]


@dataclass(frozen=True)
class _Call:
    """What a call comes to."""

    stored: StoredPromotion
    evidence: Evidence
    given: Given


class DeviceServer:
    """Serves calls of one reference with arrays on a GPU.

    Kernels are loaded when they are first called.
    """

    def __init__(self, reference: Reference, stored: Sequence[StoredPromotion]) -> None:
        """Take the promotions that hold here; none is loaded yet."""
        self._reference = reference
        self._contract = reference.contract
        self._stored = tuple(stored)
        self._demoted: tuple[str, ...] = ()
        self._kernels: dict[str, Kernel] = {}

    def takes(self, values: Mapping[str, Any]) -> bool:
        """Whether an array argument is on a GPU."""
        return any(is_on_gpu(values[a.name]) for a in self._contract.arguments if a.is_array)

    def select(self, values: Mapping[str, Any]) -> tuple[StoredPromotion, Evidence]:
        """What serves these arguments.

        Raises:
            Unfit: Nothing does.
        """
        call = self._fitted(values)
        return call.stored, call.evidence

    def run(self, values: Mapping[str, Any], out: Sequence[Any] | None) -> list[Any]:
        """Enqueue a call.

        Args:
            values: Arguments by name.
            out: Arrays that take the results; None for new ones.

        Returns:
            The arrays of the results.

        Raises:
            Unfit: No promotion serves it; nothing was done.
            ContractError: `out` cannot take the results.
        """
        call = self._fitted(values)
        kernel = self._kernel(call.stored, call.given.sizes)
        return carried_out(self._contract, kernel, call.given, out)

    def demote(self, stored: StoredPromotion, why: str) -> None:
        """Serve a promotion no more in this process, and warn."""
        said = f"promotion {stored.path}"
        with GUARD.lock:
            self._stored = tuple(s for s in self._stored if s is not stored)
            self._demoted = (*self._demoted, f"{said} is served no more: {why}")
        warnings.warn(
            f"{said}: {why}; this process serves it no more", PromotionWarning, stacklevel=2
        )

    def _fitted(self, values: Mapping[str, Any]) -> _Call:
        given = fitted(self._contract, values)
        served = self._stored
        if self._demoted and not served:
            raise Unfit("; ".join(self._demoted))
        stored, evidence = nearest(usable(self._contract, served, given.sizes), given.sizes)
        return _Call(stored, evidence, given)

    def _kernel(self, stored: StoredPromotion, sizes: Mapping[str, int]) -> Kernel:
        key = str(stored.path)
        if key not in self._kernels:
            variant = stored.promotion.variant
            try:
                kernel = builds.load_promoted(variant, self._contract, on_gpu=True)
            except (OutpaceError, BuildError, InvalidDraft) as error:
                self._stored = tuple(s for s in self._stored if s is not stored)
                raise Unfit(f"promotion {stored.path} cannot be loaded: {error}") from error
            demote = partial(self.demote, stored)
            self._kernels[key] = sampler().sampled(
                self._reference, stored, kernel, demote, keep_on_device
            )
        usage.record(stored, dict(sizes))
        return self._kernels[key]


def fitted(contract: Contract, values: Mapping[str, Any]) -> Given:
    """Arguments as a kernel takes them; nothing is copied.

    Raises:
        Unfit: It cannot take them.
    """
    inputs: list[Any] = []
    for argument in contract.arguments:
        value = values[argument.name]
        if not argument.is_array:
            inputs.append(fit_scalar(argument, value))
            continue
        try:
            inputs.append(device_array(value, argument.name, argument.dtype))
        except (ContractError, BufferError, ValueError) as error:
            raise Unfit(str(error)) from error
    _refuse_overlap(inputs, [i for i, a in enumerate(contract.arguments) if a.mutated])
    return Given(inputs, _sizes(contract, inputs))


def carried_out(
    contract: Contract, kernel: Kernel, given: Given, out: Sequence[Any] | None
) -> list[Any]:
    """Enqueue a call of a kernel.

    Args:
        contract: Of its reference.
        kernel: Over arrays on the GPU.
        given: Its inputs.
        out: Arrays that take the results; None for new ones.

    Returns:
        The arrays of the results.

    Raises:
        Unfit: Arrays of `out` share memory with others of the call.
        ContractError: They cannot take the results.
    """
    import cupy  # noqa: PLC0415  (only where there is a GPU)

    shapes = output_shapes(contract, given.sizes)
    pairs = list(zip(contract.outputs, shapes, strict=True))
    if out is None:
        outputs = [cupy.empty(shape, output.dtype) for output, shape in pairs]
    else:
        dtypes = [output.dtype for output, _ in pairs]
        outputs = [device_array(a, "out", d) for a, d in zip(out, dtypes, strict=True)]
        _refuse_misshapen(outputs, shapes)
        everything = [*given.inputs, *outputs]
        _refuse_overlap(everything, range(len(given.inputs), len(everything)))
    kernel(*given.inputs, *outputs)
    return outputs


def _sizes(contract: Contract, inputs: Sequence[Any]) -> dict[str, int]:
    pairs = list(zip(contract.arguments, inputs, strict=True))
    shapes = [(a.name, a.dims or (), tuple(v.shape)) for a, v in pairs if a.is_array]
    integers = {
        a.name: int(v) for a, v in pairs if not a.is_array and np.dtype(a.dtype).kind in "iu"
    }
    try:
        bound = bind_shapes(shapes, integers)
    except ContractError as error:
        raise Unfit(str(error)) from error
    return {name: bound[name] for name in size_names(contract)}


def is_on_gpu(value: Any) -> bool:
    """Whether a value is an array in the memory of a GPU, of whatever library."""
    if hasattr(value, "__cuda_array_interface__"):
        return True
    device = getattr(value, "__dlpack_device__", None)
    return device is not None and not isinstance(value, np.ndarray) and device()[0] != _ON_CPU


def _refuse_misshapen(outputs: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> None:
    for array, shape in zip(outputs, shapes, strict=True):
        if tuple(array.shape) != tuple(shape):
            raise ContractError(f"out has shape {array.shape}, the result has {shape}")


def _refuse_overlap(arrays: Sequence[Any], written: Sequence[int] | range) -> None:
    """Raise `Unfit` if memory that is written belongs to another array of the call too."""
    spans = {
        i: (int(array.data.ptr), int(array.data.ptr) + int(array.nbytes))
        for i, array in enumerate(arrays)
        if not np.isscalar(array)
    }
    for first, second in combinations(spans, 2):
        (a, b), (c, d) = spans[first], spans[second]
        if (first in written or second in written) and a < d and c < b:
            raise Unfit("arrays of the call share memory that is written")
