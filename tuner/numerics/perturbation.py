"""How far the results of a reference move when its inputs move by a rounding error.

Every floating-point input is perturbed relative to each of its elements, so zeros stay zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from outpace.model import Contract
from outpace.tuner.numerics.oracle import Oracle

Array = np.ndarray[Any, Any]

_PERTURBATIONS = 4
_MORE_PERTURBATIONS = 8
"""Where results are small: of many elements, a few move little under all of four perturbations."""
_SMALL = 20_000
"""Elements of results."""
_NATIVE_PERTURBATIONS = 16


def unit_roundoff(dtype: np.dtype[Any]) -> float:
    """Unit round-off: 2**-53 for float64 and complex128, 2**-24 for float32 and complex64."""
    return float(np.finfo(dtype).eps) / 2


def high_shift(
    oracle: Oracle,
    inputs: Mapping[str, Any],
    sizes: Mapping[str, int],
    rng: np.random.Generator,
    high: Sequence[Array],
) -> list[Array]:
    """E_pert: how far each result in higher precision moves when the inputs are rounded.

    Args:
        oracle: In high-precision mode.
        inputs: Values by argument name; not changed.
        sizes: Dims and int arguments.
        rng: Draws the perturbations.
        high: The results on the unchanged inputs.

    Returns:
        One array per result, in its precision, zero for integers. Runs that fail and elements that
        become NaN or infinite are left out, which makes the band narrower, never wider.
    """
    precision = oracle.precision
    assert precision is not None
    scalar_u = _scalar_roundoff(oracle.contract)

    def perturbed() -> list[Array] | None:
        values = {}
        for a in oracle.contract.arguments:
            value = precision.promoted(inputs[a.name])
            kind = np.dtype(a.dtype)
            if kind.kind in "fc":
                u = unit_roundoff(kind) if a.is_array else scalar_u or unit_roundoff(kind)
                value = _scaled(value, u, rng, _continuous)
            values[a.name] = value
        return oracle.high(values, sizes)

    elements = sum(result.size for result in high)
    runs = _MORE_PERTURBATIONS if elements <= _SMALL else _PERTURBATIONS
    return _largest_shift(high, (perturbed() for _ in range(runs)))


def native_shift(
    oracle: Oracle,
    inputs: Mapping[str, Any],
    sizes: Mapping[str, int],
    rng: np.random.Generator,
    native: Sequence[Array],
    runs: int = _NATIVE_PERTURBATIONS,
) -> list[Array]:
    """D: how far each native result moves when the inputs change by one unit in the last place.

    Arguments and result are those of `high_shift`; `native` takes the place of `high`, and `runs`
    is the number of perturbations.
    """
    scalar_u = _scalar_roundoff(oracle.contract)

    def perturbed() -> list[Array] | None:
        values = dict(inputs)
        for a in oracle.contract.arguments:
            kind = np.dtype(a.dtype)
            if kind.kind in "fc":
                u = unit_roundoff(kind) if a.is_array else scalar_u or unit_roundoff(kind)
                value = np.array(values[a.name]) if a.is_array else values[a.name]
                values[a.name] = _scaled(value, 2 * u, rng, _signs)
        try:
            return oracle.native(values, sizes)
        except Exception:  # noqa: BLE001  (outside its domain by one rounding error)
            return None

    if not any(np.dtype(a.dtype).kind in "fc" for a in oracle.contract.arguments):
        return [np.zeros(r.shape) for r in native]
    return _largest_shift(native, (perturbed() for _ in range(runs)))


def _scalar_roundoff(contract: Contract) -> float | None:
    """Round-off of float scalars: NumPy computes with them in the precision of the arrays."""
    kinds = [np.dtype(a.dtype) for a in contract.arguments if a.is_array]
    return max((unit_roundoff(k) for k in kinds if k.kind in "fc"), default=None)


def _continuous(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """+-[1/2, 3/2]; see `expect`."""
    s = rng.random(shape) * 2 - 1
    return np.asarray(s + np.copysign(0.5, s))


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.asarray(rng.integers(0, 2, shape) * 2 - 1)


def _scaled(
    value: Any,
    u: float,
    rng: np.random.Generator,
    amplitudes: Callable[[np.random.Generator, tuple[int, ...]], Array],
) -> Any:
    """Return value + value u s: an array in place, the parts of complex numbers separately."""
    if not isinstance(value, np.ndarray):
        return type(value)(value + value * (u * float(amplitudes(rng, ()))))
    for part in (value.real, value.imag) if value.dtype.kind == "c" else (value,):
        change = part * (u * amplitudes(rng, value.shape)).astype(part.dtype)
        np.add(part, change, out=part)
    return value


def _largest_shift(centre: Sequence[Array], runs: Iterator[list[Array] | None]) -> list[Array]:
    """Largest finite |run - centre| of each element."""
    shifts = [np.zeros(r.shape, dtype=np.abs(r).dtype) for r in centre]
    with np.errstate(all="ignore"):
        for run in runs:
            for shift, r, c in zip(shifts, run or centre, centre, strict=True):
                if c.dtype.kind in "fc":
                    moved = np.abs(r - c)
                    np.maximum(shift, np.where(np.isfinite(moved), moved, 0), out=shift)
    return shifts
