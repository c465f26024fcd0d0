"""Carrying out a launch plan: the trusted code that stands between a draft and the GPU.

A cubin is loaded through CuPy, and what `outpace.codegen.cuda.resolve` lists is done in order on
one stream. Nothing of a draft runs on the host.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from outpace.codegen.cuda import (
    Action,
    ArrayArgument,
    Copy,
    Fill,
    Launch,
    LaunchPlan,
    Resolved,
    ScalarArgument,
    resolve,
)
from outpace.codegen.cuda.prototype import launches
from outpace.errors import DraftError
from outpace.kernels.languages.base import BuildError
from outpace.model import Contract, Scalar

_STATIC_SHARED = 48 * 1024
"""Bytes of dynamic shared memory that a kernel gets without asking."""
_SIZES_KEPT = 8
"""Problem sizes whose actions and buffers are kept for the next call."""


@dataclass(frozen=True)
class _Ready:
    """A plan resolved at some sizes, and the scratch memory for it."""

    resolved: Resolved
    buffers: dict[str, Any]


class Launcher:
    """Runs one variant on arrays in device memory.

    Calls only enqueue work on the current stream; whoever needs the results synchronises. Scratch
    memory is kept between calls, so that one launcher must not run on two streams at once.
    """

    def __init__(
        self,
        cubin: Path,
        symbols: Mapping[str, str],
        plan: LaunchPlan,
        params: Mapping[str, Scalar],
        contract: Contract,
    ) -> None:
        """Load the kernels.

        Args:
            cubin: Machine code for this GPU.
            symbols: Names in it by the plan's names.
            plan: What is launched.
            params: The bound parameters.
            contract: Of the reference.

        Raises:
            BuildError: The cubin cannot be loaded, or a kernel cannot have its shared memory.
        """
        import cupy  # noqa: PLC0415  (only where there is a GPU)

        self._cupy = cupy
        self._plan = plan
        self._params = dict(params)
        self._contract = contract
        self._dtypes = {a.name: np.dtype(a.dtype) for a in contract.arguments if a.dims is None}
        self._ready: OrderedDict[tuple[tuple[str, int], ...], _Ready] = OrderedDict()
        used = dict.fromkeys(step.kernel for _, step in launches(plan.steps, "steps"))
        try:
            module = cupy.RawModule(path=str(cubin))
            self._kernels = {name: module.get_function(symbols[name]) for name in used}
        except cupy.cuda.driver.CUDADriverError as error:
            raise BuildError(f"{cubin.name} cannot be loaded: {error}") from error

    def __call__(
        self, sizes: Mapping[str, int], arrays: Mapping[str, Any], scalars: Mapping[str, Any]
    ) -> None:
        """Enqueue one call.

        Args:
            sizes: Every dim and every int argument.
            arrays: CuPy arrays by name: inputs and outputs, C-contiguous, as the contract has them.
            scalars: Values of scalar arguments by name.

        Raises:
            DraftError: The plan cannot be resolved at these sizes.
        """
        ready = self._ready_at(sizes)
        memory = {**arrays, **ready.buffers}
        values = {name: _passed(value, self._dtypes[name]) for name, value in scalars.items()}
        for action in ready.resolved.actions:
            self._perform(action, memory, values)

    def _perform(
        self, action: Action, memory: Mapping[str, Any], values: Mapping[str, Any]
    ) -> None:
        match action:
            case Launch():
                arguments = tuple(_argument(a, memory, values) for a in action.arguments)
                kernel = self._kernels[action.kernel]
                kernel(action.grid, action.block, arguments, shared_mem=action.shared)
            case Fill(array=array, value=value):
                memory[array].fill(value)
            case Copy(source=source, target=target):
                self._cupy.copyto(memory[target], memory[source])

    def _ready_at(self, sizes: Mapping[str, int]) -> _Ready:
        key = tuple(sorted(sizes.items()))
        found = self._ready.get(key)
        if found is None:
            resolved = resolve(self._plan, sizes, self._params, self._contract)
            buffers = {b.name: self._cupy.empty(b.shape, b.dtype) for b in resolved.buffers}
            self._ask_for_shared(resolved)
            found = self._ready[key] = _Ready(resolved, buffers)
            while len(self._ready) > _SIZES_KEPT:
                self._ready.popitem(last=False)
        self._ready.move_to_end(key)
        return found

    def _ask_for_shared(self, resolved: Resolved) -> None:
        """Raise the limit of kernels that use more dynamic shared memory than any kernel may."""
        for launch in resolved.launches:
            kernel = self._kernels[launch.kernel]
            if launch.shared > max(_STATIC_SHARED, kernel.max_dynamic_shared_size_bytes):
                try:
                    kernel.max_dynamic_shared_size_bytes = launch.shared
                except self._cupy.cuda.driver.CUDADriverError as error:
                    raise DraftError(
                        f"{launch.kernel} cannot have {launch.shared} bytes of dynamic shared "
                        f"memory on this GPU: {error}"
                    ) from error


def _argument(
    argument: ArrayArgument | ScalarArgument | int,
    memory: Mapping[str, Any],
    values: Mapping[str, Any],
) -> Any:
    match argument:
        case ArrayArgument(name=name):
            return memory[name]
        case ScalarArgument(name=name):
            return values[name]
        case int():
            return np.int64(argument)


def _passed(value: Any, dtype: np.dtype[Any]) -> Any:
    """A scalar of the width that its kernel takes."""
    make: Callable[[Any], Any] = dtype.type
    return make(value)
