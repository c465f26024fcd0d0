"""How a draft's header line declares parameters.

A parameter is a list of its values, the default first, or an object with one of

- `values`: the list;
- `range`: `[first, end, step]` as Python's `range` takes them, the end left out;
- `pow2`: `[first, last]`, both powers of two: these and all between them;

and optionally `when`: an expression over other parameters. Where it does not hold, the parameter
does not matter, keeps its default and makes no variants.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from typing import Any

from outpace.errors import DraftError
from outpace.model import Parameter, Scalar

_LEAST, _MOST = -(2**63), 2**63 - 1
"""Integers that a constant of every language holds."""
_LONGEST = 100_000
"""Values of one parameter."""


def read_parameter(name: str, declared: Any) -> Parameter:
    """A parameter from its declaration.

    Raises:
        DraftError: The declaration is malformed; the message says what is wrong.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise DraftError(f"the parameter name {name!r} is not an identifier")
    if not isinstance(declared, dict):
        return Parameter(name, _checked(name, declared))
    kinds = [kind for kind in _FORMS if kind in declared]
    if len(kinds) != 1 or set(declared) - {*kinds, "when"}:
        raise DraftError(
            f"parameter {name!r} needs a list of values, or an object with one of "
            f"{', '.join(_FORMS)} and optionally when; not {sorted(declared)}"
        )
    when = declared.get("when")
    if not isinstance(when, str | None):
        raise DraftError(f"parameter {name!r}: when must be an expression in a string")
    return Parameter(name, _checked(name, _FORMS[kinds[0]](name, declared[kinds[0]])), when)


def write_parameter(parameter: Parameter) -> list[Scalar] | dict[str, Any]:
    """A declaration that `read_parameter` reads back."""
    values = list(parameter.values)
    return values if parameter.when is None else {"values": values, "when": parameter.when}


def _checked(name: str, given: Any) -> tuple[Scalar, ...]:
    """Values without repeats, each fit for a constant of every language."""
    listed: list[Scalar] = given if isinstance(given, list) else [given]
    if not listed or not all(isinstance(v, Scalar) for v in listed):
        raise DraftError(f"parameter {name!r} needs a list of numbers, booleans or strings")
    for value in listed:
        if isinstance(value, int) and not _LEAST <= value <= _MOST:
            raise DraftError(f"parameter {name!r}: {value} does not fit 64 bits")
        if isinstance(value, str) and not value.isprintable():
            raise DraftError(f"parameter {name!r}: {value!r} is not one printable line")
    return tuple(dict.fromkeys(listed))


def _are_integers(given: Any) -> bool:
    return isinstance(given, list) and all(type(value) is int for value in given)


def _range(name: str, given: Any) -> list[int]:
    if not _are_integers(given) or not 1 <= len(given) <= 3 or given[2:] == [0]:
        raise DraftError(f"parameter {name!r}: range takes [first, end, step], not {given}")
    values = range(*given)
    if not 0 < len(values) <= _LONGEST:
        raise DraftError(f"parameter {name!r}: range {given} has {len(values)} values")
    return list(values)


def _pow2(name: str, given: Any) -> list[int]:
    if (
        not _are_integers(given)
        or len(given) != 2
        or not 0 < given[0] <= given[1] <= _MOST
        or any(value & (value - 1) for value in given)
    ):
        raise DraftError(f"parameter {name!r}: pow2 takes two powers of two, not {given}")
    first, last = (value.bit_length() for value in given)
    return [2 ** (bits - 1) for bits in range(first, last + 1)]


def _values(name: str, given: Any) -> list[Scalar]:
    if not isinstance(given, list):
        raise DraftError(f"parameter {name!r}: values takes a list, not {given!r}")
    return given


_FORMS: Mapping[str, Callable[[str, Any], Any]] = {
    "values": _values,
    "range": _range,
    "pow2": _pow2,
}
