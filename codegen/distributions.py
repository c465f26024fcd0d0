"""Distributions of input values, used in `inputs={"u": Uniform(-1, 1)}`.

Each draws an array of a given shape and dtype from a NumPy `Generator`. A distribution states the
domain of the reference: no draw ever leaves it, also not the stress draws.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from outpace.codec import Value

Array = npt.NDArray[Any]


class Distribution(Value, frozen=True):
    """Base of all distributions."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
        """Values of this shape and dtype."""
        raise NotImplementedError

    def stress(
        self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str, flavour: str
    ) -> Array:
        """Values of an awkward kind (`FLAVOURS`) inside the same domain."""
        values = self.draw(rng, shape, dtype)
        if flavour == "sorted":
            _sort(rng, values)
        if flavour == "rare":
            common = self.draw(rng, (*shape[:-1], 1), dtype)
            values = np.where(_rarely(rng, shape), values, common).reshape(shape)
        return values

    def misfit(self, dtype: str) -> str | None:
        """Why values of this dtype cannot be drawn, and what to write; None if they can."""
        raise NotImplementedError


FLAVOURS = ("plain", "offset", "wide", "cancelling", "sorted", "rare")
"""Kinds of values, the simplest first: as distributed; nearly equal; many magnitudes; sums that
nearly cancel; in ascending or descending order; all of a row but one alike, or on one side of the
middle. The last two are for references that select: a draft that skips the end of a row there
misses the largest element, or the only one that is true.

None makes equal floating-point numbers: at a tie a correct draft that rounds differently may take
another branch than the reference, and such inputs have probability zero in the domain."""


class Uniform(Distribution, frozen=True):
    """Uniform on [low, high). Complex dtypes draw both parts so."""

    low: float = 0.0
    high: float = 1.0

    def misfit(self, dtype: str) -> str | None:
        """See the base class."""
        is_interval = np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high
        if _is_real_or_complex(dtype) and is_interval:
            first, last = _bounds(self.low, self.high, dtype)
            with np.errstate(over="ignore"):
                is_interval = first < last and np.isfinite(last - first)
        if not (_is_real_or_complex(dtype) and is_interval):
            return "needs finite low < high and a float or complex argument; else use Integers"
        return None

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
        """See the base class."""
        return _over_parts(dtype, lambda real: _uniform(rng, shape, real, self.low, self.high))

    def stress(
        self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str, flavour: str
    ) -> Array:
        """See the base class."""
        low, high = self.low, self.high
        if flavour == "offset":
            low = rng.uniform(low, high)
            high = low + (high - low) * 1e-3
        values = _over_parts(dtype, lambda real: _uniform(rng, shape, real, low, high))
        if flavour == "wide" and self.low <= 0 <= self.high:
            values *= _magnitudes(rng, shape, values.real.dtype)
        if flavour == "cancelling" and self.low == -self.high:
            _cancel(values)
        if flavour == "sorted":
            _sort(rng, values)
        if flavour == "rare" and values.dtype.kind == "f":
            first, last = _bounds(self.low, self.high, dtype)
            _reflect(rng, values, first / 2 + last / 2)
            np.clip(values, first, last, out=values)
        return values


class Normal(Distribution, frozen=True):
    """Normal with this mean and standard deviation."""

    mean: float = 0.0
    std: float = 1.0

    def misfit(self, dtype: str) -> str | None:
        """See the base class."""
        if not (_is_real_or_complex(dtype) and np.isfinite(self.mean) and 0 < self.std < np.inf):
            return "needs a finite mean, std > 0 and a float or complex argument"
        return None

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
        """See the base class."""
        return _over_parts(dtype, lambda real: _normal(rng, shape, real, self.mean, self.std))

    def stress(
        self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str, flavour: str
    ) -> Array:
        """See the base class."""
        mean, std = self.mean, self.std
        if flavour == "offset":
            mean, std = mean + 2 * std, std * 1e-3
        values = _over_parts(dtype, lambda real: _normal(rng, shape, real, mean, std))
        if flavour == "wide" and self.mean == 0:
            values *= _magnitudes(rng, shape, values.real.dtype)
        if flavour == "cancelling" and self.mean == 0:
            _cancel(values)
        if flavour == "sorted":
            _sort(rng, values)
        if flavour == "rare" and values.dtype.kind == "f":
            _reflect(rng, values, values.dtype.type(mean))
        return values


class Integers(Distribution, frozen=True):
    """Integers from low to high - 1."""

    low: int = 0
    high: int = 2

    def misfit(self, dtype: str) -> str | None:
        """See the base class."""
        if self.low >= self.high or not _holds(dtype, self.low, self.high - 1):
            return f"needs low < high and bounds that {dtype} can hold"
        return None

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
        """See the base class."""
        kind = np.uint64 if self.high > np.iinfo(np.int64).max else np.int64
        return np.asarray(rng.integers(self.low, self.high, size=shape, dtype=kind)).astype(dtype)


class Choice(Distribution, frozen=True):
    """One of these values, equally likely."""

    values: tuple[float, ...]

    def misfit(self, dtype: str) -> str | None:
        """See the base class."""
        if not self.values or not _holds(dtype, *self.values):
            return f"needs at least one value, and only values that {dtype} can hold"
        return None

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
        """See the base class."""
        return np.asarray(rng.choice(np.asarray(self.values, dtype), size=shape))


class Constant(Distribution, frozen=True):
    """Always this value; for scalars that parametrise a method."""

    value: float

    def misfit(self, dtype: str) -> str | None:
        """See the base class."""
        return None if _holds(dtype, self.value) else f"needs a value that {dtype} can hold"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
        """See the base class."""
        del rng
        return np.full(shape, self.value, dtype=dtype)


def default_distribution(dtype: str) -> Distribution:
    """What an argument without `inputs` is drawn from: N(0, 1), small integers, or a fair coin."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return Integers(0, 2)
    if kind == "u":
        return Integers(0, 100)
    if kind == "i":
        return Integers(-100, 100)
    return Normal()


def _is_real_or_complex(dtype: str) -> bool:
    return np.dtype(dtype).kind in "fc"


def _holds(dtype: str, *values: float) -> bool:
    """Whether a dtype can hold these values: integers exactly, floats rounded but not overflown."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return all(value in (0, 1) for value in values)
    if kind.kind in "iu":
        bounds = np.iinfo(kind)
        return all(value == value // 1 and bounds.min <= value <= bounds.max for value in values)
    limit = float(np.finfo(kind).max)
    return all(not np.isfinite(value) or abs(value) <= limit for value in values)


def _over_parts(dtype: str, draw: Any) -> Array:
    """Draw real values, or both parts of complex ones."""
    kind = np.dtype(dtype)
    if kind.kind != "c":
        return np.asarray(draw(dtype))
    real = np.empty(0, dtype=kind).real.dtype.name
    values = np.asarray(draw(real)).astype(dtype)
    values.imag = draw(real)
    return values


def _uniform(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, low: float, high: float
) -> Array:
    first, last = _bounds(low, high, dtype)
    values: Array = rng.random(size=shape, dtype=np.dtype(dtype).type)
    values *= last - first
    values += first
    return np.clip(values, first, last, out=values)


def _bounds(low: float, high: float, dtype: str) -> tuple[Any, Any]:
    """The least and the greatest number of [low, high) in the precision of a dtype."""
    real = np.dtype(dtype).type(0).real.dtype.type
    with np.errstate(over="ignore"):
        first, last = real(low), real(high)
    first = first if float(first) >= low else np.nextafter(first, real(np.inf))
    last = last if float(last) < high else np.nextafter(last, real(-np.inf))
    return first, max(first, last)


def _normal(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, mean: float, std: float
) -> Array:
    kind = np.dtype(dtype)
    values: Array = rng.standard_normal(size=shape, dtype=kind.type)
    values *= kind.type(std)
    values += kind.type(mean)
    return values


def _magnitudes(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    """Factors of 1 down to 1e-6, log-uniform."""
    return (10.0 ** rng.uniform(-6, 0, size=shape)).astype(dtype)


def _cancel(values: Array) -> None:
    """Make the second half the negative of the first, up to a small remainder, in place."""
    flat = values.reshape(-1)
    half = flat.size // 2
    flat[half : 2 * half] = -flat[:half] * flat.real.dtype.type(1 - 1e-3)


def _sort(rng: np.random.Generator, values: Array) -> None:
    """Sort in place, so that the extremes of every axis stand at its ends, in either order."""
    flat = values.reshape(-1)
    flat.sort()
    if rng.random() < 0.5:
        flat[:] = flat[::-1].copy()


def _rarely(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """True at one element of each row: the first, the last, or any one."""
    rows, width = shape[:-1], max((1, *shape[-1:]))
    at = np.where(rng.random(rows) < 0.5, 0, width - 1)
    at = np.where(rng.random(rows) < 0.5, at, rng.integers(width, size=rows))
    return np.asarray(at[..., None] == np.arange(width)).reshape(-1)[: prod(shape)].reshape(shape)


def _reflect(rng: np.random.Generator, values: Array, middle: Any) -> None:
    """Move all values of a row but one to the same side of the middle, in place."""
    side = rng.choice((-1, 1), (*values.shape[:-1], 1)).astype(values.dtype)
    side = np.where(_rarely(rng, values.shape), -side, side).reshape(values.shape)
    values[...] = middle + side * np.abs(values - middle)
