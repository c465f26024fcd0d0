"""What the inputs of a part are taken to be, and how a draft asks whether they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from outpace.codegen.dims import Affine
from outpace.codegen.mixed.observing import Held, HeldArray, HeldScalar, Sight
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Array, Scalar, Variable
from outpace.codegen.nests.lifting.values import Lifted, position, scalar_value, stored
from outpace.codegen.nests.numba.emit import numpy_name
from outpace.errors import NotLifted

_PYTHON = {"bool": "bool", "int64": "int", "float64": "float", "complex128": "complex"}


@dataclass(frozen=True)
class Known:
    """What holds anywhere in a function.

    Attributes:
        certain: Arguments that are never bound again, by name, and what they stand for.
        arrays: The arrays among them.
        scalars: The scalars among them that are no sizes.
        sizes: The name in programs of each dim and int argument.
        forms: Extents of the contract's arrays, over names in programs.
        lower: Lower bounds of sizes.
        taken: Names that no other size may have.
    """

    certain: Mapping[str, Lifted]
    arrays: Mapping[str, Array]
    scalars: Mapping[str, Scalar]
    sizes: Mapping[str, str]
    forms: tuple[Affine, ...]
    lower: Mapping[str, int]
    taken: frozenset[str]


@dataclass
class Guess:
    """What the inputs of a part are taken to be.

    Attributes:
        arguments: What the names stand for while the part is lifted.
        arrays: Parameters that are arrays.
        scalars: Parameters that are scalars and no sizes.
        sizes: Where the value of each size comes from: a name, or an extent such as `u.shape[1]`.
        lower: Lower bounds of sizes.
        unsure: Names of which it has to be asked what they hold.
        conditions: Python expressions that hold, in this order, where the guess is right.
    """

    arguments: dict[str, Lifted] = field(default_factory=dict)
    arrays: list[Array] = field(default_factory=list)
    scalars: list[Scalar] = field(default_factory=list)
    sizes: dict[str, str] = field(default_factory=dict)
    lower: dict[str, int] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    conditions: list[str] = field(default_factory=list)


def guessed(names: Iterable[str], sights: Sequence[Sight], known: Known) -> Guess:
    """What these names hold before a statement.

    Args:
        names: The inputs of a part.
        sights: Of the statement.
        known: What holds anywhere.

    Raises:
        NotLifted: One holds something else than numbers, or not always the same kind of thing.
    """
    guess = Guess(
        sizes={name: name for name in known.sizes.values()},
        lower=dict(known.lower),
    )
    guessing = _Guessing(guess, sights, known)
    for name in sorted(names):
        if name in known.certain:
            guess.arguments[name] = known.certain[name]
            guess.arrays += [known.arrays[name]] if name in known.arrays else []
            guess.scalars += [known.scalars[name]] if name in known.scalars else []
        else:
            guess.unsure.add(name)
            guessing.add(name)
    return guess


class _Guessing:
    """Adds names to a guess."""

    def __init__(self, guess: Guess, sights: Sequence[Sight], known: Known) -> None:
        self._guess = guess
        self._sights = sights
        self._known = known
        self._extents: dict[tuple[int, ...], Affine] = {}

    def add(self, name: str) -> None:
        held = [sight.held.get(name, "nothing") for sight in self._sights]
        if not held:
            raise NotLifted("no run at small sizes came here")
        if len({_kind(h) for h in held}) > 1:
            raise NotLifted(f"{name} is not always of one type")
        match held[0]:
            case HeldArray(dtype=dtype):
                shapes = [h.shape for h in held if isinstance(h, HeldArray)]
                self._add_array(name, dtype, shapes)
            case HeldScalar(value=None, dtype=dtype, weak=weak):
                self._add_scalar(name, dtype, weak=weak)
            case HeldScalar():
                numbers = (h.value for h in held if isinstance(h, HeldScalar))
                self._add_integer(name, [n for n in numbers if n is not None])
            case other:
                raise NotLifted(f"{name} is a {other}")

    def _add_array(self, name: str, dtype: str, shapes: Sequence[tuple[int, ...]]) -> None:
        shape, asked, later = [], [], []
        for axis, values in enumerate(zip(*shapes, strict=True)):
            place = f"{name}.shape[{axis}]"
            extent = self._extent(values, f"{name}_{axis}", place)
            shape.append(extent)
            written = self._text(extent)
            if f"{name}.shape" not in written:
                asked.append(written)
                continue
            asked.append("None")
            later += [f"{place} == {written}"] if written != place else []
        arguments = ", ".join([name, f"np.{numpy_name(dtype)}", *asked])
        self._guess.conditions += [f"is_array({arguments})", *later]
        self._guess.arrays.append(Array(name, dtype, tuple(shape)))
        self._guess.arguments[name] = stored(name, dtype, tuple(shape))
        for extent in shape:
            self._raise_lower(extent)

    def _add_scalar(self, name: str, dtype: str, *, weak: bool) -> None:
        kind = _PYTHON[dtype] if weak else f"np.{numpy_name(dtype)}"
        self._guess.conditions.append(f"type({name}) is {kind}")
        self._guess.scalars.append(Scalar(name, dtype))
        self._guess.arguments[name] = scalar_value(Variable(name, dtype), weak=weak)

    def _add_integer(self, name: str, values: Sequence[int]) -> None:
        """A Python int: a size of the contract, or a size of its own."""
        self._guess.conditions.append(f"type({name}) is int")
        found = _fitting(values, self._sights, self._known) if len(set(values)) > 1 else None
        if found is not None:
            self._guess.conditions.append(f"{name} == {self._text(found)}")
            self._guess.arguments[name] = position(found)
            return
        self._guess.sizes[name] = name
        self._guess.arguments[name] = position(affine.symbol(name))
        if min(values) >= 0:
            self._guess.conditions.append(f"{name} >= 0")
            self._guess.lower[name] = 0

    def _extent(self, values: tuple[int, ...], name: str, place: str) -> Affine:
        """An extent as a form in sizes, or under a name of its own."""
        found = _fitting(values, self._sights, self._known)
        if found is not None:
            return found
        if values not in self._extents:
            while name in self._known.taken or name in self._guess.sizes:
                name += "_"
            self._guess.sizes[name] = place
            self._guess.lower[name] = 0
            self._extents[values] = affine.symbol(name)
        return self._extents[values]

    def _text(self, extent: Affine) -> str:
        parts = {n: affine.symbol(self._guess.sizes[n]) for n in extent.names}
        return affine.text(affine.substituted(extent, parts))

    def _raise_lower(self, extent: Affine) -> None:
        """An array that is there has no negative extent."""
        if len(extent.terms) == 1 and extent.terms[0][1] == 1:
            name, least = extent.names[0], -extent.constant
            self._guess.lower[name] = max(self._guess.lower.get(name, least), least)


def _kind(held: Held) -> object:
    """What must be the same at all times."""
    match held:
        case HeldArray(dtype=dtype, shape=shape):
            return (dtype, len(shape))
        case HeldScalar(dtype=dtype, weak=weak):
            return (dtype, weak, "scalar")
        case other:
            return other


def _fitting(values: Sequence[int], sights: Sequence[Sight], known: Known) -> Affine | None:
    """A form that gave these values at the sizes of the runs."""
    runs = [{known.sizes[n]: v for n, v in s.sizes.items() if n in known.sizes} for s in sights]
    for form in known.forms:
        if all(form.evaluate(sizes) == v for sizes, v in zip(runs, values, strict=True)):
            return form
    if len(set(values)) == 1:
        return affine.constant(values[0])
    for form in known.forms:
        for factor in (1, 2, 3, 4):
            rests = {v - factor * form.evaluate(s) for s, v in zip(runs, values, strict=True)}
            if len(rests) == 1:
                return affine.plus(affine.times(form, factor), affine.constant(rests.pop()))
    return None
