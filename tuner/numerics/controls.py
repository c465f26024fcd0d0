"""Negative controls: answers that are wrong on purpose and must be rejected.

If a control is accepted on every drawn case, then so would be a draft that does not compute the
reference at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from outpace.codegen.inputs import Case
from outpace.errors import UntestableError
from outpace.model import Argument, Contract, Output
from outpace.tuner.numerics.acceptance import Expected, compare
from outpace.tuner.numerics.oracle import Oracle

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sample:
    """One drawn case with its inputs and what its results must be."""

    case: Case
    inputs: Mapping[str, Any]
    expected: Expected


def refuse_passing_controls(oracle: Oracle, samples: Sequence[Sample]) -> None:
    """Hold every control against the samples.

    Raises:
        UntestableError: A control is accepted on every sample to which it applies.
    """
    for control, advice in _CONTROLS.items():
        applied = 0
        for sample in samples:
            got = control(oracle, sample, samples)
            if got is None or not any(r.size for r in got):
                continue
            applied += 1
            if compare(oracle.contract, sample.expected, got) is not None:
                break
        else:
            if applied:
                raise UntestableError(
                    f"{oracle.reference.name} cannot be judged: {advice.format(count=applied)}"
                )


def _zeros(oracle: Oracle, sample: Sample, samples: Sequence[Sample]) -> list[Array] | None:
    del oracle, samples
    return [np.zeros_like(r) for r in sample.expected.native]


def _constant(oracle: Oracle, sample: Sample, samples: Sequence[Sample]) -> list[Array] | None:
    """Every result filled with its mean; single numbers with their mean over all samples."""
    del oracle
    filled = []
    for position, result in enumerate(sample.expected.native):
        pooled = [result] if result.size > 1 else [s.expected.native[position] for s in samples]
        values = np.concatenate([r.reshape(-1) for r in pooled])
        mean = np.mean(values[np.isfinite(values)]) if np.isfinite(values).any() else 0
        exact = result.dtype.kind not in "fc"
        filled.append(np.full_like(result, np.rint(mean) if exact else mean))
    return filled


def _pass_through(oracle: Oracle, sample: Sample, samples: Sequence[Sample]) -> list[Array] | None:
    """Every result replaced by an input of its dims; None unless each has one."""
    del samples
    passed = []
    for part, result in zip(oracle.contract.results, sample.expected.native, strict=True):
        source = _like(oracle.contract, part)
        if source is None:
            return None
        passed.append(np.asarray(sample.inputs[source]).astype(result.dtype))
    return passed


def _like(contract: Contract, part: Argument | Output) -> str | None:
    """The argument itself if mutated, else the first of the same dims and kind of numbers."""
    if isinstance(part, Argument):
        return part.name
    kind = np.dtype(part.dtype).kind
    for argument in contract.arguments:
        if argument.dims == part.dims and np.dtype(argument.dtype).kind == kind:
            return argument.name
    return None


def _unchanged(oracle: Oracle, sample: Sample, samples: Sequence[Sample]) -> list[Array] | None:
    """Mutated arguments left alone, returned outputs right."""
    del samples
    mutated = oracle.contract.mutated
    if not mutated:
        return None
    kept = [np.asarray(sample.inputs[a.name]) for a in mutated]
    return kept + sample.expected.native[len(kept) :]


def _down_cast(oracle: Oracle, sample: Sample, samples: Sequence[Sample]) -> list[Array] | None:
    """The reference on inputs of half the precision; None where that changes no input."""
    del samples
    if all(band.exact for band in sample.expected.bands):
        return None
    inputs = {name: _rounded(value) for name, value in sample.inputs.items()}
    if all(np.array_equal(inputs[n], sample.inputs[n], equal_nan=True) for n in _floats(inputs)):
        return None
    try:
        return oracle.native(inputs, sample.case.sizes)
    except Exception:  # noqa: BLE001  (rounding left the domain: not a usable control)
        return None


def _floats(inputs: Mapping[str, Any]) -> list[str]:
    return [name for name, value in inputs.items() if np.asarray(value).dtype.kind in "fc"]


def _rounded(value: Any) -> Any:
    """Round float64 to float32 and float32 to float16, kept in the dtype of the argument."""
    array = np.asarray(value)
    if array.dtype.kind not in "fc":
        return value
    narrow = np.float16 if array.real.dtype == np.float32 else np.float32
    with np.errstate(all="ignore"):
        if array.dtype.kind == "f":
            rounded = array.astype(narrow).astype(array.dtype)
        else:
            rounded = array.copy()
            rounded.real = array.real.astype(narrow)
            rounded.imag = array.imag.astype(narrow)
    return rounded if isinstance(value, np.ndarray) else rounded.item()


_CONTROLS: dict[
    Callable[[Oracle, Sample, Sequence[Sample]], list[Array] | None],
    str,
] = {
    _zeros: "results that are all zero are accepted on all {count} drawn cases; "
    "draw other inputs with inputs=, or tighten tolerance=",
    _constant: "results filled with their mean are accepted on all {count} drawn cases; "
    "draw other inputs with inputs=, or tighten tolerance=",
    _pass_through: "an input passed through as the result is accepted on all {count} drawn cases; "
    "draw other inputs with inputs=, or tighten tolerance=",
    _unchanged: "mutated arguments that were left unchanged are accepted on all {count} drawn "
    "cases; draw other inputs with inputs=, or tighten tolerance=",
    _down_cast: "inputs down-cast to half their precision are accepted on all {count} drawn "
    "cases; tighten tolerance=, or annotate the narrower dtype if that is what you need",
}
