"""The numerical acceptance rule: which results count as those of the reference.

With r_hi the reference in higher precision on the same inputs, E_ref = |r_native - r_hi|, E_pert
the largest |r_hi(x(1 + u s)) - r_hi| over a few random perturbations s of every floating-point
input, L the reduction length and u the unit round-off of the declared dtype, a result c is accepted
where

    |c - r_hi| <= 4 E_ref + 4 sqrt(L) E_pert + 2 sqrt(L) u |r_hi|

element by element (complex numbers by their modulus), with identical NaN and Inf masks; integers
and booleans are exact. E_ref is how far the reference itself is off, E_pert what rounding the
inputs does, and sqrt(L) how errors grow when a sum is taken in another order. A declared tolerance
replaces the rule. `expect` documents what was added to it and why.

Everything fails closed: an exception, a NaN in a band, or an array of another dtype or shape is a
mismatch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from outpace.codegen.domain import reduction_length
from outpace.errors import UntestableError
from outpace.model import Contract, Mismatch, Tolerance
from outpace.tuner.numerics.oracle import Mode, Oracle
from outpace.tuner.numerics.perturbation import high_shift, native_shift, unit_roundoff

Array = np.ndarray[Any, Any]

_SAMPLE = 100_000
"""Elements that a median over a band looks at."""
_FLOOR = 0.5
"""Least E_pert of an element, relative to what is typical of the result; see `expect`."""
_CHAOTIC = 1e-3
_BLOCK = 1 << 16
"""Elements compared at a time at workload size: temporaries stay in the cache."""
_MARGIN = 2.0
"""How much larger an envelope is than what was calibrated: largest elements vary between inputs."""


@dataclass(frozen=True)
class Band:
    """What one result must be.

    Attributes:
        native: The reference's own result; states NaN and Inf, and integers exactly.
        centre: Middle of the band: r_hi, or `native` where there is none.
        allowed: Largest accepted |c - centre|, float64 of the same shape; 0 for exact results.
    """

    native: Array
    centre: Array
    allowed: Array

    @property
    def exact(self) -> bool:
        """Whether the result is made of integers or booleans."""
        return self.native.dtype.kind not in "fc"


@dataclass(frozen=True)
class Expected:
    """What the results of one call must be, in the order of `contract.results`."""

    bands: tuple[Band, ...]
    mode: Mode
    """How the bands were derived."""

    @property
    def native(self) -> list[Array]:
        """The reference's own results."""
        return [band.native for band in self.bands]


def expect(
    oracle: Oracle,
    inputs: Mapping[str, Any],
    sizes: Mapping[str, int],
    rng: np.random.Generator,
) -> Expected:
    """Derive the acceptance bands for one call.

    The term with |r_hi| is the rounding inside a sum of L terms: where a result hardly depends on
    its inputs, as a weight near 1 in a softmax, E_pert is next to nothing, and correct drafts still
    round L times on their way. With 2 u |r_hi|, which rounds once, a sequential or vectorised
    softmax in float32 was rejected on one element in some of the drawn cases.

    Three things differ from the rule as it stands in the module's docstring. All of them guard
    correct drafts against an E_pert or E_ref that is tiny by luck at single elements:

    1. A perturbation is x (1 + u s) with |s| uniform on [1/2, 3/2] (root mean square 1) and a
       random sign, instead of s = +1 or -1. With equal magnitudes all perturbations of
       `a*b - c*d` near a*b = c*d cancel exactly at 2% of the elements; with continuous ones
       practically never.
    2. E_pert is at least half the median of the positive max(E_pert, E_ref) of the result. That is
       far below any mutant that shows at all, and for references without floating-point inputs it
       is the only account of rounding inside. It also admits strictly sequential sums of positive
       numbers, whose error is about sqrt(L) times that of the pairwise sum of NumPy and which
       E_pert alone does not foresee. Lower precision stays visible, because L is small in drawn
       cases.
    3. The smallest normal number is added, because a target may flush subnormal numbers to zero.

    In native mode there is no r_hi: D is the largest |r(x') - r(x)| over 16 perturbations by one
    unit in the last place (1 to 2 u), and the band is (4 + 4 sqrt(L)) D + 2 sqrt(L) u |r| around
    the native result. Each perturbed run rounds anew, so D contains the difference of two
    independent native rounding errors and stands in for E_ref as well as for E_pert. Where nothing
    can be perturbed, D is u max|r|, the error of a normwise stable method.

    Args:
        oracle: The reference.
        inputs: Values by argument name; not changed.
        sizes: Dims and int arguments.
        rng: Draws the perturbations.

    Raises:
        Exception: Whatever the reference raises on these inputs.
    """
    contract = oracle.contract
    native = oracle.native(inputs, sizes)
    if contract.tolerance is not None:
        bands = [_declared_band(r, contract.tolerance) for r in native]
        return Expected(tuple(bands), Mode.DECLARED)
    growth = float(np.sqrt(reduction_length(contract, sizes)))
    high = oracle.high(inputs, sizes)
    if high is None:
        shift = native_shift(oracle, inputs, sizes, rng, native)
        native_bands = (_native_band(r, d, growth) for r, d in zip(native, shift, strict=True))
        return Expected(tuple(native_bands), Mode.NATIVE)
    shift = high_shift(oracle, inputs, sizes, rng, high)
    high_bands = (_high_band(r, h, d, growth) for r, h, d in zip(native, high, shift, strict=True))
    return Expected(tuple(high_bands), Mode.HIGH)


def _declared_band(native: Array, tolerance: Tolerance) -> Band:
    if native.dtype.kind not in "fc":
        return _exact_band(native)
    size = np.abs(native).astype(np.float64)
    return Band(native, native, tolerance.atol + tolerance.rtol * size)


def _exact_band(native: Array) -> Band:
    return Band(native, native, np.broadcast_to(0.0, native.shape))


def _high_band(native: Array, high: Array, shift: Array, growth: float) -> Band:
    if native.dtype.kind not in "fc":
        return _exact_band(native)
    with np.errstate(all="ignore"):
        centre = np.where(np.isfinite(high), high, native)
        own = _finite_or_zero(np.abs(native - centre))
        error = np.maximum(shift, _FLOOR * _typical(np.maximum(shift, own)))
        allowed = 4 * own + 4 * growth * error + _rounding(native, growth * np.abs(centre))
    return Band(native, centre, allowed.astype(np.float64))


def _native_band(native: Array, shift: Array, growth: float) -> Band:
    if native.dtype.kind not in "fc":
        return _exact_band(native)
    with np.errstate(all="ignore"):
        size = np.abs(native).astype(np.float64)
        floor = _FLOOR * _typical(shift)
        if floor == 0:  # nothing was perturbed, or nothing moved
            floor = unit_roundoff(native.dtype) * _largest(size)
        error = np.maximum(shift, floor)
        allowed = (4 + 4 * growth) * error + _rounding(native, growth * size)
    return Band(native, native, allowed.astype(np.float64))


def _rounding(native: Array, size: Array) -> Array:
    """Rounding at this size, also where subnormal numbers are flushed to zero."""
    rounding: Array = 2 * unit_roundoff(native.dtype) * size + float(np.finfo(native.dtype).tiny)
    return rounding


def _finite_or_zero(values: Array) -> Array:
    return np.where(np.isfinite(values), values, 0)


def _largest(values: Array) -> float:
    return float(np.max(_finite_or_zero(values), initial=0.0))


def _typical(values: Array) -> float:
    """Median of the positive values, from a regular sample of a large array; 0 without any."""
    flat = values.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    positive = sample[sample > 0]
    return float(np.median(positive)) if positive.size else 0.0


def compare(contract: Contract, expected: Expected, got: Sequence[Array]) -> Mismatch | None:
    """Hold results against their bands.

    Args:
        contract: Names the results.
        expected: From `expect`, for the same inputs.
        got: One array per result, in its declared dtype and shape.

    Returns:
        None if every element is accepted, else the element with the largest excess over its band,
        of the first result that has one, and how many of its elements are outside.
    """
    return _first_mismatch(contract, expected.bands, got, _compare_band)


def _first_mismatch(
    contract: Contract,
    expected: Sequence[Any],
    got: Sequence[Array],
    compare_one: Callable[[str, Any, Array], Mismatch | None],
) -> Mismatch | None:
    """The first result that is wrong; an exception while comparing is a mismatch too."""
    names = [part.name for part in contract.results]
    if not len(names) == len(expected) == len(got):
        return Mismatch("results", (), f"{len(names)} arrays", f"{len(got)} arrays", "exact")
    for name, wanted, array in zip(names, expected, got, strict=True):
        try:
            with np.errstate(all="ignore"):
                mismatch = compare_one(name, wanted, array)
        except Exception as error:  # noqa: BLE001  (fails closed)
            mismatch = Mismatch(name, (), "a comparison", f"{type(error).__name__}: {error}", 0.0)
        if mismatch is not None:
            return mismatch
    return None


def _compare_band(name: str, band: Band, got: Array) -> Mismatch | None:
    if (other := _other_kind(name, band.native, got)) is not None:
        return other
    if band.exact:
        inside = got == band.native
        excess = np.where(inside, 0.0, np.inf)
    else:
        gap = np.abs(got - band.centre)
        is_finite = np.isfinite(band.native) & np.isfinite(got) & np.isfinite(band.allowed)
        inside = np.where(is_finite, gap <= band.allowed, _same_special(band.native, got))
        excess = np.where(is_finite, gap / band.allowed, np.inf)
    if np.all(inside):
        return None
    worst = np.argmax(np.where(inside, -1.0, np.nan_to_num(excess, nan=np.inf)))
    index = tuple(int(i) for i in np.unravel_index(int(worst), got.shape))
    return Mismatch(
        name,
        index,
        expected=_plain(band.centre[index]),
        got=_plain(got[index]),
        allowed=_plain(band.allowed[index]),
        count=int(np.count_nonzero(~inside)),
    )


def _other_kind(name: str, wanted: Array, got: Array) -> Mismatch | None:
    if isinstance(got, np.ndarray) and got.dtype == wanted.dtype and got.shape == wanted.shape:
        if got.dtype == np.bool_ and (got.view(np.uint8) > 1).any():  # NumPy takes them for True
            return Mismatch(name, (), "True or False", "bytes other than 0 and 1", "exact")
        return None
    found = f"{got.dtype.name}{got.shape}" if isinstance(got, np.ndarray) else type(got).__name__
    return Mismatch(name, (), f"{wanted.dtype.name}{wanted.shape}", found, "exact")


def _same_special(wanted: Array, got: Array) -> Array:
    """Where both are NaN, or both are the same infinity."""
    nan, infinite = np.isnan(wanted), np.isinf(wanted)
    same = (nan | infinite) & (nan == np.isnan(got)) & (infinite == np.isinf(got))
    if wanted.dtype.kind != "c":  # the sign of a complex infinity depends on the formula
        same &= nan | (wanted == got)
    return np.asarray(same)


def _plain(value: Any) -> float | str:
    """A NumPy scalar as what a record holds; as text where a float would not be that number."""
    kind = np.asarray(value).dtype.kind
    is_exact = kind not in "iu" or int(float(value)) == int(value)
    return float(value) if kind != "c" and is_exact else str(value)


def chaotic(contract: Contract, expected: Expected) -> str | None:
    """Why a workload is unfit for judging: its bands are too wide to tell right from wrong.

    A band is too wide where its 90th percentile exceeds 1e-3 of the spread of the result (largest
    minus smallest finite element; the largest modulus for complex and for constant results). Single
    wide bands are left to discontinuities. A declared tolerance is the user's decision.

    Returns:
        A sentence for a person, or None.
    """
    if expected.mode is Mode.DECLARED:
        return None
    for part, band in zip(contract.results, expected.bands, strict=True):
        if band.exact or not band.native.size:
            continue
        finite = np.isfinite(band.native)
        if not finite.any():
            return f"{part.name} is nowhere finite; draw other inputs with inputs="
        width = float(np.quantile(band.allowed[finite], 0.9))
        spread = _spread(band.native[finite])
        if not width <= max(_CHAOTIC * spread, float(np.finfo(band.native.dtype).tiny)):
            return (
                f"{part.name} would be accepted within {width:.1e}, which is more than "
                f"{_CHAOTIC:g} of its spread {spread:.1e}: rounding errors grow until right and "
                "wrong look alike; use a workload of fewer steps, or declare tolerance="
            )
    return None


def _spread(values: Array) -> float:
    if values.dtype.kind == "c":
        return float(np.max(np.abs(values)))
    spread = float(np.max(values)) - float(np.min(values))
    return spread if spread > 0 else float(np.max(np.abs(values)))


@dataclass(frozen=True)
class _Limits:
    """What one result may deviate from a native run, in units of that run's size."""

    largest: float
    """Of any element, relative to the largest modulus."""
    rms: float
    """Of all elements in root mean square, relative to their root mean square."""


@dataclass(frozen=True)
class Envelope:
    """Acceptance at workload size, where the full rule would cost too much.

    Results are compared with a trusted native run on the same inputs. Both stay within their bands
    around r_hi, so an element may deviate by its band plus E_ref. `calibrate` takes the largest of
    these over a result, and their root mean square, over a few inputs of the workload, both
    relative to the size of the result; they are doubled, because they vary between inputs. The
    root-mean-square limit is what tells lower precision from another order of summation; the
    largest one is what a single wrong element has to exceed.
    """

    limits: tuple[_Limits | None, ...]
    """Per result; None means exact."""

    @classmethod
    def calibrate(cls, calibrations: Sequence[Expected]) -> Envelope:
        """Derive the limits from the full rule on a few inputs of one workload.

        Raises:
            UntestableError: There is no calibration, or a band is not finite.
        """
        if not calibrations:
            raise UntestableError("an envelope needs at least one calibration")
        columns = zip(*(expected.bands for expected in calibrations), strict=True)
        return cls(tuple(_limits(column) for column in columns))

    def too_wide(self, contract: Contract) -> str | None:
        """Why nothing can be judged by these limits, or None; as `chaotic`, for an envelope."""
        for part, one in zip(contract.results, self.limits, strict=True):
            if one is not None and not one.rms <= _MARGIN * _CHAOTIC:
                return (
                    f"{part.name} would be accepted within {one.rms:.1e} of its size: rounding "
                    "errors grow until right and wrong look alike; use a workload of fewer steps, "
                    "or declare tolerance="
                )
        return None

    def widened(self, growth: Sequence[float]) -> Envelope:
        """The envelope with the limits of each result multiplied by a factor of at least 1."""
        pairs = zip(self.limits, growth, strict=True)
        return Envelope(
            tuple(_Limits(g * one.largest, g * one.rms) if one else None for one, g in pairs)
        )

    def compare(
        self, contract: Contract, native: Sequence[Array], got: Sequence[Array]
    ) -> Mismatch | None:
        """Hold results against those of a trusted native run, in blocks and without copies.

        Args:
            contract: Names the results.
            native: Results of the trusted run.
            got: Results to judge, C-contiguous.

        Returns:
            None if they are accepted. Otherwise a mismatch with the worst element of the first
            wrong result; when the root mean square alone is too large, its `count` is the number
            of all elements and `allowed` the root-mean-square limit.
        """
        expected = list(zip(native, self.limits, strict=True)) if native else []
        return _first_mismatch(contract, expected, got, _compare_native)


def _limits(bands: Sequence[Band]) -> _Limits | None:
    if bands[0].exact:
        return None
    largest = rms = 0.0
    for band in bands:
        finite = np.isfinite(band.native)
        if not finite.any():
            continue
        size = np.abs(band.native[finite])
        own = np.abs(band.native[finite] - band.centre[finite])
        allowed = (band.allowed[finite] + own).astype(np.float64)
        unit = float(np.max(size)) or 1.0
        if not np.isfinite(allowed).all():
            raise UntestableError("the acceptance bands of the workload are not finite")
        relative = allowed / unit
        largest = max(largest, float(np.max(relative)))
        rms = max(rms, _rms(relative) / (_rms(size / unit) or 1.0))
    return _Limits(_MARGIN * largest, _MARGIN * rms)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _compare_native(
    name: str, trusted: tuple[Array, _Limits | None], got: Array
) -> Mismatch | None:
    native, limits = trusted
    if (other := _other_kind(name, native, got)) is not None:
        return other
    pairs = list(_blocks(native, got))
    if limits is None:
        return _first_unequal(name, native, got, pairs)
    unit = max((_largest(np.abs(r)) for _, r, _ in pairs), default=0.0) or 1.0
    squares = size = worst = 0.0
    index = outside = 0
    for start, r, c in pairs:
        gap, length = np.abs(c - r) / unit, np.abs(r) / unit
        if not np.isfinite(gap).all():
            special = _same_special(r, c)
            gap = np.where(special, 0.0, np.nan_to_num(gap, nan=np.inf, posinf=np.inf))
            length = np.where(special, 0.0, length)
        outside += int(np.count_nonzero(~(gap <= limits.largest)))
        squares += float(np.sum(np.square(gap, dtype=np.float64)))
        size += float(np.sum(np.square(length, dtype=np.float64)))
        top = int(np.argmax(gap))
        if gap[top] > worst:
            worst, index = float(gap[top]), start + top
    in_mean = squares <= limits.rms**2 * size or squares == 0
    if outside == 0 and in_mean:
        return None
    where = tuple(int(i) for i in np.unravel_index(index, native.shape))
    allowed = limits.largest * unit if outside else limits.rms * (size / native.size) ** 0.5 * unit
    return Mismatch(
        name, where, _plain(native[where]), _plain(got[where]), allowed, outside or native.size
    )


def _blocks(native: Array, got: Array) -> Iterator[tuple[int, Array, Array]]:
    """Matching pieces of two arrays with the index of their first element."""
    a, b = native.reshape(-1), got.reshape(-1)  # views of contiguous arrays
    for start in range(0, a.size, _BLOCK):
        yield start, a[start : start + _BLOCK], b[start : start + _BLOCK]


def _first_unequal(
    name: str, native: Array, got: Array, pairs: Sequence[tuple[int, Array, Array]]
) -> Mismatch | None:
    count, index = 0, -1
    for start, r, c in pairs:
        wrong = np.flatnonzero(r != c)
        if wrong.size and index < 0:
            index = start + int(wrong[0])
        count += int(wrong.size)
    if count == 0:
        return None
    where = tuple(int(i) for i in np.unravel_index(index, native.shape))
    return Mismatch(name, where, _plain(native[where]), _plain(got[where]), 0.0, count)
