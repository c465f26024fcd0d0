"""`Recorded`: input values from calls that a real program made.

The file is a plain `.npz`, written by `outpace init` or by hand: the entry `0/u` is the argument
`u` of the first call, `1/u` that of the second; scalars are arrays of shape (). Nothing in it is
pickled.

How values are drawn from it:

- At sizes that were recorded one of those calls is taken, with all of its arguments. At other sizes
  one call is taken, and along every dim a window that begins at a random place; where more is
  wanted than was recorded the values go on backwards (mirrored), so that neighbours stay
  neighbours. Arrays that share a dim share its window. One-dimensional arrays in ascending or
  descending order, such as coordinates, are interpolated instead and stay in order.
- Then every floating-point element moves towards zero by a relative amount of up to the square root
  of the precision of its type (1.5e-8 in float64), so that no two draws are alike and a draft that
  has recorded values written into it is found wrong. Zeros and signs stay, and so do arrays that
  hold whole numbers, such as masks, unless they hold one number alone.
- Floating-point scalars move likewise, also from zero, and booleans are drawn from both values:
  what a recording never varied is still no constant. Int arguments are sizes; the sizes of a case
  say what they are.
- Where nothing of a call can move, arrays of integers and booleans that are not in order are
  rotated by a random number of places along every axis.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from outpace.codegen.abi import bind_sizes
from outpace.codegen.dims import parse_dim, shape_of
from outpace.errors import ContractError
from outpace.model import Argument, Contract

Array = npt.NDArray[Any]
Call = dict[str, Any]

MAX_BYTES = 512 * 2**20
"""Largest content of a file that is read; a recording is a sample, not an archive."""


class Recorded:
    """Inputs drawn from recorded calls, as `inputs=outpace.Recorded("heat_recorded/step.npz")`.

    Nothing is read before values are first drawn. See `outpace.codegen.recorded` for the rule.

    Args:
        file: A `.npz` file; a relative path starts at the folder of the reference's module.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)

    def __repr__(self) -> str:
        return f"Recorded({str(self.file)!r})"


class RecordedInputs:
    """A recording bound to a contract; callable as the user's own `inputs` would be."""

    def __init__(self, recorded: Recorded, folder: Path, contract: Contract) -> None:
        self.__name__ = repr(recorded)
        self._path = folder / recorded.file
        self._contract = contract

    def __call__(self, sizes: Mapping[str, int], rng: np.random.Generator) -> dict[str, Any]:
        """Values of every argument that is no size; see the module for the rule.

        Raises:
            ContractError: The file cannot be read, or does not fit the annotation.
        """
        alike = [call for call, recorded in self._calls if recorded == sizes]
        if alike:
            call = alike[rng.integers(len(alike))]
            values = {name: value.copy() for name, value in call.items()}
        else:
            values = self._resized(sizes, rng)
        return self._moved(values, rng)

    @cached_property
    def _calls(self) -> list[tuple[dict[str, Array], dict[str, int]]]:
        """Recorded calls without their sizes, and their sizes."""
        calls = read_calls(self._path)
        found = []
        for number, call in enumerate(calls):
            self._refuse_misfit(number, call)
            values = {
                a.name: call[a.name] if a.is_array else call[a.name].item()
                for a in self._contract.arguments
            }
            try:
                sizes = bind_sizes(self._contract, values)
            except ContractError as error:
                raise ContractError(f"call {number} in {self._path}: {error}") from error
            drawn = {a.name: call[a.name] for a in self._contract.arguments if not _is_size(a)}
            found.append((drawn, sizes))
        return found

    @cached_property
    def _movable(self) -> list[str]:
        """Arrays of real numbers, rather than of categories such as a mask's."""
        arrays = [a.name for a in self._contract.arguments if a.is_array]
        return [name for name in arrays if _can_move([call[name] for call, _ in self._calls])]

    def _refuse_misfit(self, number: int, call: Mapping[str, Array]) -> None:
        names = [a.name for a in self._contract.arguments]
        if set(call) != set(names):
            raise ContractError(
                f"call {number} in {self._path} holds {', '.join(sorted(call)) or 'nothing'}; "
                f"the arguments are {', '.join(names)}"
            )
        for argument in self._contract.arguments:
            value = call[argument.name]
            rank = len(argument.dims or ())
            fits = (
                value.dtype == np.dtype(argument.dtype)
                if argument.is_array
                else np.can_cast(value.dtype, argument.dtype, "same_kind")
            )
            if value.ndim != rank or not fits:
                raise ContractError(
                    f"call {number} in {self._path} has {argument.name} as {value.dtype.name} with "
                    f"{value.ndim} dims, the annotation says {argument.dtype} with {rank}; "
                    "record it again, or correct the annotation"
                )

    def _resized(self, sizes: Mapping[str, int], rng: np.random.Generator) -> dict[str, Array]:
        call, recorded = self._calls[rng.integers(len(self._calls))]
        starts = {name: int(rng.integers(2 * max(recorded[name], 1))) for name in sorted(recorded)}
        values = {}
        for argument in self._contract.arguments:
            if _is_size(argument):
                continue
            value = call[argument.name]
            if argument.dims is not None:
                value = self._fitted(argument, value, sizes, starts)
            values[argument.name] = value.copy()
        return values

    def _fitted(
        self, argument: Argument, value: Array, sizes: Mapping[str, int], starts: Mapping[str, int]
    ) -> Array:
        """An array cut or continued to the extents of these sizes."""
        dims = argument.dims or ()
        for axis, (dim, wanted) in enumerate(zip(dims, shape_of(dims, sizes), strict=True)):
            held = value.shape[axis]
            if held == wanted:
                continue
            if held == 0:
                raise ContractError(
                    f"{self._path} holds no value of {argument.name}, whose recorded shape is "
                    f"{value.shape}; record a call with data"
                )
            if value.ndim == 1 and held > 1 and _is_ordered(value):
                return _interpolated(value, wanted)
            start = sum(starts[name] for name in parse_dim(dim).names)
            value = value.take(_mirrored(start, wanted, held), axis=axis)
        return value

    def _moved(self, values: dict[str, Array], rng: np.random.Generator) -> dict[str, Any]:
        """The same with every value moved a little where its type allows it."""
        arrays = [a.name for a in self._contract.arguments if a.is_array]
        movable = [name for name in self._movable if values[name].size]
        moved: dict[str, Any] = {}
        for name, value in values.items():
            if name not in arrays:
                moved[name] = _moved_scalar(value, rng)
            elif name in movable:
                moved[name] = _nudged(value, rng)
            elif movable or (value.ndim == 1 and _is_ordered(value)):
                moved[name] = value
            else:
                shifts = tuple(int(rng.integers(max(n, 1))) for n in value.shape)
                moved[name] = np.roll(value, shifts, tuple(range(value.ndim)))
        return moved


def read_calls(path: Path) -> list[dict[str, Array]]:
    """The recorded calls of a file, in order, arrays by argument.

    Raises:
        ContractError: There is no such file, or it is no recording of at most `MAX_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise ContractError(
                f"{path} holds {size / 2**20:.0f} MiB, more than {MAX_BYTES // 2**20}; record "
                "fewer calls or smaller ones"
            )
        with np.load(path, allow_pickle=False) as file:
            entries = {name: np.asarray(file[name]) for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ContractError(
            f"the recording {path} cannot be read: {error}; `outpace init` writes one"
        ) from error
    calls: dict[int, dict[str, Array]] = {}
    for key, value in entries.items():
        number, _, name = key.partition("/")
        if not number.isdecimal() or not name.isidentifier() or value.dtype.kind not in "biufc":
            raise ContractError(
                f"{path} holds {key!r} of type {value.dtype}; write the argument `u` of the first "
                "call as the numbers '0/u'"
            )
        calls.setdefault(int(number), {})[name] = value
    if not calls:
        raise ContractError(f"{path} holds no call; write the argument `u` of the first as '0/u'")
    return [calls[number] for number in sorted(calls)]


def write_calls(path: Path, calls: Sequence[Mapping[str, Any]]) -> None:
    """Write recorded calls as `read_calls` takes them; the folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = {f"{i}/{name}": np.asarray(v) for i, c in enumerate(calls) for name, v in c.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **entries)


def _is_size(argument: Argument) -> bool:
    return not argument.is_array and np.dtype(argument.dtype).kind in "iu"


def _is_ordered(values: Array) -> bool:
    if values.dtype.kind == "c":
        return False
    return bool(np.all(values[1:] >= values[:-1]) or np.all(values[1:] <= values[:-1]))


def _interpolated(values: Array, wanted: int) -> Array:
    """As many values on the line through ordered ones."""
    places = np.linspace(0, values.size - 1, wanted)
    between = np.interp(places, np.arange(values.size), values)
    return (np.rint(between) if values.dtype.kind in "biu" else between).astype(values.dtype)


def _mirrored(start: int, wanted: int, held: int) -> npt.NDArray[np.intp]:
    """Indices 0, 1, ..., held - 1, held - 1, ..., 1, 0, 0, 1, ... from a place in that row on.

    A window that fits is moved to where nothing is mirrored.
    """
    if wanted <= held:
        return np.arange(wanted) + start % (held - wanted + 1)
    place = (start + np.arange(wanted)) % (2 * held)
    return np.minimum(place, 2 * held - 1 - place)


def _can_move(recorded: Sequence[Array]) -> bool:
    """Whether an argument, recorded so often, is of other than whole numbers, or always one."""
    if recorded[0].dtype.kind not in "fc":
        return False
    values = np.concatenate([array.reshape(-1) for array in recorded])
    is_whole = bool(np.all(values == np.rint(values)))
    return not is_whole or bool(np.all(values == values[:1]))


def _nudged(values: Array, rng: np.random.Generator) -> Array:
    """Moved towards zero by up to the square root of the type's precision; from it if all are 0."""
    reach = np.sqrt(np.finfo(values.dtype).eps)
    share = reach * rng.random(values.shape)
    if values.size and not values.any():
        return np.asarray(share, values.dtype)
    return np.asarray(values * (1 - share), values.dtype)


def _moved_scalar(value: Array, rng: np.random.Generator) -> Any:
    if value.dtype.kind == "b":
        return bool(rng.integers(2))
    if value.dtype.kind in "fc":
        return _nudged(value, rng)[()]
    return value[()]
