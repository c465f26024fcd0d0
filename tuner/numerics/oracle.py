"""Runs a reference: as it is, and as a copy in higher precision.

The reference is the user's own code; it may be slow and may raise. Nothing here runs a draft.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import time
import warnings
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from outpace.codegen.abi import as_results, output_shapes
from outpace.codegen.inputs import draw_cases, draw_inputs
from outpace.codegen.precision import (
    NotPromotableError,
    Precision,
    precision_above,
    promoted_function,
)
from outpace.codegen.reference import Reference
from outpace.model import Contract

Array = np.ndarray[Any, Any]

_PROBES = 6
"""Drawn cases on which a promoted copy is tried; the smallest ones that have results."""
_PROBE_SECONDS = 3.0
"""Time after which one case that gains digits must do."""


class Mode(StrEnum):
    """What results are compared with."""

    HIGH = "high-precision"
    """A run of the reference in higher precision."""
    NATIVE = "native"
    """The reference itself, where it has no copy in higher precision."""
    DECLARED = "declared"
    """The reference itself, within the tolerance that its contract declares."""


class Oracle:
    """The reference, ready to run.

    Constructing one runs the reference on a few small drawn cases, to find out whether its
    promoted copy can be trusted. That decision is made once and never raises.

    Attributes:
        reference: What is run.
        contract: Its contract.
        mode: What results are compared with.
        why: The reason of `mode`, for a person.
        precision: What the promoted copy computes in, or None in native mode.
    """

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.contract: Contract = reference.contract
        self.precision: Precision | None = None
        self._keyword_only = {
            p.name
            for p in inspect.signature(reference.fn).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        }
        self._copy: Callable[..., Any] | None = None
        if self.contract.tolerance is not None:
            self.mode, self.why = Mode.DECLARED, "the contract declares a tolerance"
            return
        try:
            self.precision = precision_above(self.contract)
            self._copy = promoted_function(reference.closure, self.precision)
            self._probe()
        except Exception as error:  # noqa: BLE001  (the copy runs user code; native mode remains)
            self.precision = self._copy = None
            named = "" if isinstance(error, NotPromotableError) else f"{type(error).__name__}: "
            self.mode, self.why = Mode.NATIVE, f"no copy in higher precision: {named}{error}"
        else:
            name = np.dtype(self.precision.real).name
            self.mode, self.why = Mode.HIGH, f"a copy of the reference computes in {name}"

    def native(self, inputs: Mapping[str, Any], sizes: Mapping[str, int]) -> list[Array]:
        """Run the reference itself.

        Args:
            inputs: Values by argument name; declared mutated arrays are copied, not written.
            sizes: Dims and int arguments.

        Returns:
            The results in the order of `contract.results`, in their declared dtypes.

        Raises:
            ContractError: A returned value is not as annotated.
            Exception: Whatever the reference raises.
        """
        values = dict(inputs)
        for argument in self.contract.mutated:
            values[argument.name] = values[argument.name].copy()
        returned = self.call(values)
        mutated = [values[a.name] for a in self.contract.mutated]
        return mutated + as_results(self.contract, returned, sizes)

    def high(self, inputs: Mapping[str, Any], sizes: Mapping[str, int]) -> list[Array] | None:
        """Run the promoted copy on the same values.

        Args:
            inputs: As for `native`; floats may already be of the higher precision.
            sizes: Dims and int arguments.

        Returns:
            The results in higher precision (integers in their declared dtypes), or None in the
            other modes and where the copy fails on these inputs.
        """
        if self._copy is None:
            return None
        try:
            return self._high(inputs, sizes)
        except Exception:  # noqa: BLE001  (None is the documented answer; the native rule applies)
            return None

    def call(self, values: Mapping[str, Any]) -> Any:
        """What the plain function returns for exactly these objects, mutating them as it does."""
        return self._call(self.reference.fn, values)

    def _call(self, fn: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        names = [a.name for a in self.contract.arguments]
        positional = [values[n] for n in names if n not in self._keyword_only]
        # What it prints would come hundreds of times, and into the table of a campaign.
        silence = contextlib.redirect_stdout(io.StringIO())
        with np.errstate(all="ignore"), warnings.catch_warnings(), silence:
            warnings.simplefilter("ignore")
            return fn(*positional, **{n: values[n] for n in names if n in self._keyword_only})

    def _high(self, inputs: Mapping[str, Any], sizes: Mapping[str, int]) -> list[Array]:
        assert self._copy is not None
        assert self.precision is not None
        values = {name: self.precision.promoted(value) for name, value in inputs.items()}
        returned = self._call(self._copy, values)
        mutated = [values[a.name] for a in self.contract.mutated]
        return mutated + self._promoted_results(returned, sizes, self.precision)

    def _promoted_results(
        self, returned: Any, sizes: Mapping[str, int], precision: Precision
    ) -> list[Array]:
        """The counterpart of `as_results`, which insists on the declared dtypes."""
        outputs = self.contract.outputs
        single = len(outputs) == 1 and not isinstance(returned, tuple)
        parts = () if not outputs else (returned,) if single else returned
        arrays = []
        for output, part, shape in zip(
            outputs, parts, output_shapes(self.contract, sizes), strict=True
        ):
            array = np.asarray(part)
            array = array.reshape(1) if output.scalar else array
            declared = np.dtype(output.dtype)
            if array.shape != shape or array.dtype.kind != declared.kind:
                raise NotPromotableError(
                    f"it returns {array.dtype.name}{array.shape} for {output.name}"
                )
            if precision.above(array.dtype):
                raise NotPromotableError(f"{output.name} stays {array.dtype.name}")
            arrays.append(array if declared.kind in "fc" else array.astype(declared))
        return arrays

    def _probe(self) -> None:
        """Compare the copy with the reference on small cases.

        Raises:
            NotPromotableError: The copy computes something else, or no digit more.
        """
        assert self._copy is not None
        began = time.monotonic()
        gained = differing = tried = 0
        drawn = draw_cases(self.reference, 2 * _PROBES, seed=0)
        for case in sorted(drawn, key=lambda c: _work(c.sizes)):
            try:
                inputs = draw_inputs(self.reference, case)
                native = self.native(inputs, case.sizes)
            except Exception:  # noqa: BLE001, S112  (a refused size; the self-check records it)
                continue
            if not any(r.size for r in native):
                continue
            high = self._high(inputs, case.sizes)
            gained += any(np.any(_gap(n, h)) for n, h in zip(native, high, strict=True))
            differing += any(_differs(n, h) for n, h in zip(native, high, strict=True))
            tried += 1
            if gained and (tried >= _PROBES or time.monotonic() - began > _PROBE_SECONDS):
                break
        if not gained:
            raise NotPromotableError("higher precision changes no digit of the results")
        if 3 * differing > tried:  # some cases may be nothing but cancelled rounding errors
            raise NotPromotableError("the copy's results are not those of the reference")


def _work(sizes: Mapping[str, int]) -> int:
    """Orders cases by size, the empty ones last."""
    product = int(np.prod([max(n, 1) for n in sizes.values()]))
    return product if all(n > 0 for n in sizes.values()) else product + 2**40


def _gap(native: Array, high: Array) -> Array:
    """|native - high| where both are finite, in the precision of `high`."""
    if native.dtype.kind not in "fc":
        return np.zeros(0)
    finite = np.isfinite(native) & np.isfinite(high)
    gap: Array = np.abs(native[finite] - high[finite])
    return gap


def _differs(native: Array, high: Array) -> bool:
    """Whether the copy took another path than the reference.

    The limit u**(1/4), in root mean square, is far above rounding errors and far below what another
    branch or another dtype does to a whole array.
    """
    gap = _gap(native, high)
    if gap.size == 0:
        return False
    size = np.mean(np.abs(high[np.isfinite(native) & np.isfinite(high)]) ** 2)
    limit = float(np.finfo(native.dtype).eps) ** 0.5 * size
    return not np.mean(gap**2) <= limit
