"""Kernels on a GPU in the calling convention of `outpace.codegen.abi`.

Host-resident: NumPy arrays in and out, and the transfers are part of the call. Device-resident:
arrays that are on the GPU already, in CuPy's form or any that `__cuda_array_interface__` or DLPack
describes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from outpace.codegen.abi import Role, bind_sizes, slots
from outpace.codegen.cuda import LaunchPlan
from outpace.codegen.dims import bind_shapes
from outpace.errors import ContractError
from outpace.kernels.gpu.launcher import Launcher
from outpace.kernels.languages.base import Kernel
from outpace.model import Contract, Scalar


def load_host_kernel(
    cubin: Path,
    symbols: Mapping[str, str],
    plan: LaunchPlan,
    params: Mapping[str, Scalar],
    contract: Contract,
) -> Kernel:
    """A kernel over NumPy arrays; it returns when the results are in them.

    Arguments and exceptions are those of `Launcher`.
    """
    import cupy  # noqa: PLC0415  (only where there is a GPU)

    launcher = Launcher(cubin, symbols, plan, params, contract)
    listed = slots(contract)
    inputs = [argument.name for argument in contract.arguments]

    def kernel(*arguments: Any) -> None:
        values = {slot.name: value for slot, value in zip(listed, arguments, strict=True)}
        sizes = bind_sizes(contract, {name: values[name] for name in inputs})
        arrays, scalars = {}, {}
        for slot in listed:
            value = values[slot.name]
            if slot.role is Role.SCALAR:
                scalars[slot.name] = value
                continue
            arrays[slot.name] = cupy.empty(value.shape, value.dtype)
            if slot.role is not Role.OUTPUT:
                arrays[slot.name].set(np.ascontiguousarray(value))
        launcher(sizes, arrays, scalars)
        for slot in listed:
            if slot.role in (Role.INOUT, Role.OUTPUT):
                _fetch(arrays[slot.name], values[slot.name])
        cupy.cuda.get_current_stream().synchronize()

    return kernel


def load_device_kernel(
    cubin: Path,
    symbols: Mapping[str, str],
    plan: LaunchPlan,
    params: Mapping[str, Scalar],
    contract: Contract,
) -> Kernel:
    """A kernel over arrays on the GPU; its work is enqueued on the current stream.

    Arguments and exceptions are those of `Launcher`. A call raises ContractError for an array that
    is not on the GPU, not C-contiguous, or not as the contract says.
    """
    launcher = Launcher(cubin, symbols, plan, params, contract)
    listed = slots(contract)

    def kernel(*arguments: Any) -> None:
        values = {slot.name: value for slot, value in zip(listed, arguments, strict=True)}
        scalars = {s.name: values[s.name] for s in listed if s.role is Role.SCALAR}
        arrays = {
            slot.name: device_array(values[slot.name], slot.name, slot.dtype)
            for slot in listed
            if slot.role is not Role.SCALAR
        }
        launcher(_sizes(contract, arrays, scalars), arrays, scalars)

    return kernel


def device_array(value: Any, name: str, dtype: str) -> Any:
    """A CuPy array over the memory of an array on the GPU; nothing is copied.

    Raises:
        ContractError: It is not on the GPU, not C-contiguous, or has another dtype.
    """
    import cupy  # noqa: PLC0415

    if isinstance(value, cupy.ndarray):
        array = value
    elif hasattr(value, "__cuda_array_interface__"):
        array = cupy.asarray(value)
    elif hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
        array = cupy.from_dlpack(value, copy=False)
    else:
        raise ContractError(
            f"{name} is a {type(value).__name__}, which is not on the GPU; pass CuPy arrays, or "
            "NumPy arrays for all arguments"
        )
    if array.dtype != np.dtype(dtype):
        raise ContractError(f"{name} has dtype {array.dtype}, the annotation says {dtype}")
    if not array.flags.c_contiguous:
        raise ContractError(f"{name} is not C-contiguous; pass `cupy.ascontiguousarray({name})`")
    return array


def _sizes(
    contract: Contract, arrays: Mapping[str, Any], scalars: Mapping[str, Any]
) -> dict[str, int]:
    """Sizes of arguments on the GPU; outputs must have the shapes that follow from them."""
    integers = {
        argument.name: int(scalars[argument.name])
        for argument in contract.arguments
        if argument.dims is None and np.dtype(argument.dtype).kind in "iu"
    }
    given = [(slot.name, slot.dims, tuple(arrays[slot.name].shape)) for slot in slots(contract)
             if slot.role is not Role.SCALAR]  # fmt: skip
    return bind_shapes(given, integers)


def _fetch(source: Any, target: Any) -> None:
    """Copy from the device into an array of the caller, whatever its strides."""
    if target.flags.c_contiguous:
        source.get(out=target)
    else:
        target[...] = source.get()
