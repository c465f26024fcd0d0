"""Applies a variation to a reference of the library and judges it by its drawn cases.

A variation runs in this process: it is ours. What it gives is held against the very cases and
bands that a draft is held against.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from outpace.codegen.inputs import Case, draw_cases, draw_inputs
from outpace.codegen.reference import Reference
from outpace.tuner.numerics.acceptance import Expected, compare, expect
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.numerics.selfcheck import CheckedReference, check_reference


@dataclass(frozen=True)
class Patched:
    """A reference whose module has one piece of its source replaced.

    Attributes:
        reference: `module.function` in `outpace.kernels.library`, or in `selections`.
        kind: Class of the variation.
        old: What stands exactly once in the module.
        new: What takes its place.
    """

    reference: str
    kind: str
    old: str
    new: str

    @property
    def name(self) -> str:
        change = self.new or f"without {self.old}"
        return f"{self.reference}: {self.kind}: {' '.join(change.split())}"

    def function(self) -> Callable[..., Any]:
        module, name = module_of(self.reference)
        source = inspect.getsource(module)
        assert source.count(self.old) == 1, f"{self.old!r} stands {source.count(self.old)} times"
        namespace: dict[str, Any] = {"__name__": module.__name__}
        exec(compile(source.replace(self.old, self.new), f"<{self.name}>", "exec"), namespace)
        fn: Callable[..., Any] = namespace[name].reference.fn
        return fn


@dataclass(frozen=True)
class Rewritten:
    """A reference written anew; attributes as those of `Patched`."""

    reference: str
    kind: str
    fn: Callable[..., Any]

    @property
    def name(self) -> str:
        return f"{self.reference}: {self.kind}: {self.fn.__name__}"

    def function(self) -> Callable[..., Any]:
        return self.fn


Variation = Patched | Rewritten


def module_of(reference: str) -> tuple[ModuleType, str]:
    module, _, name = reference.partition(".")
    folder = "" if module == "selections" else "outpace.kernels.library."
    return importlib.import_module(f"{folder}{module}"), name


@cache
def reference_named(name: str) -> Reference:
    module, function = module_of(name)
    reference: Reference = getattr(module, function).reference
    return reference


@cache
def checked(name: str, seed: int) -> CheckedReference:
    """The reference as a campaign checks it."""
    return check_reference(reference_named(name), seed)


def is_rejected(variation: Variation, seed: int) -> bool:
    """Whether a draft that computes this would be found wrong on the drawn cases."""
    truth = checked(variation.reference, seed)
    fn = variation.function()
    return any(
        _is_wrong(truth.oracle, fn, case, expected)
        for case, expected in zip(truth.cases, truth.expected, strict=True)
    )


def deviates(variation: Variation) -> bool:
    """Whether some input in the domain tells a variation from its reference beyond doubt.

    Tried are many drawn cases and the first workload; ten times the accepted band is beyond doubt.
    """
    reference = reference_named(variation.reference)
    oracle, fn = Oracle(reference), variation.function()
    cases = [*draw_cases(reference, 96, seed=99)]
    cases.append(Case.of_workload(reference.contract.workloads[0], 1))
    return any(_is_far_off(oracle, fn, case) for case in cases)


def _is_wrong(oracle: Oracle, fn: Callable[..., Any], case: Case, expected: Expected) -> bool:
    got = run(oracle, fn, case)
    return got is None or compare(oracle.contract, expected, got) is not None


def _is_far_off(oracle: Oracle, fn: Callable[..., Any], case: Case) -> bool:
    expected = _expected(oracle, case)
    got = run(oracle, fn, case)
    if got is None:
        return True
    for band, array in zip(expected.bands, got, strict=True):
        with np.errstate(all="ignore"):
            gap = np.abs(array - band.centre) if not band.exact else array != band.native
        if np.any(~(gap <= 10 * band.allowed) & np.isfinite(band.native)):
            return True
    return False


def _expected(oracle: Oracle, case: Case) -> Expected:
    inputs = draw_inputs(oracle.reference, case)
    return expect(oracle, inputs, case.sizes, np.random.default_rng(case.seed))


def run(oracle: Oracle, fn: Callable[..., Any], case: Case) -> Sequence[np.ndarray] | None:
    """The results of a variation in their declared dtypes; None if it raises."""
    inputs = draw_inputs(oracle.reference, case)
    contract = oracle.contract
    try:
        with np.errstate(all="ignore"):
            returned = fn(*inputs.values())
    except Exception:  # noqa: BLE001  (a draft that raises is rejected)
        return None
    parts = () if not contract.outputs else returned if isinstance(returned, tuple) else (returned,)
    # A draft writes into arrays that it is given.
    written = [
        np.asarray(part).astype(output.dtype, copy=False)
        for part, output in zip(parts, contract.outputs, strict=True)
    ]
    return [*(inputs[a.name] for a in contract.mutated), *written]
