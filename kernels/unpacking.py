"""The fast path of a function that takes structures: their fields go to the kernel."""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any

from outpace.codegen.reference import Reference
from outpace.codegen.structured import put_together, reader
from outpace.kernels.adopting import adopting

Slow = Callable[[tuple[Any, ...], dict[str, Any], Any], Any]
"""Takes positional and keyword arguments as they were given, and `out`."""
_DECLINED = object()
_MISFITS = (AttributeError, KeyError, TypeError)
"""What reading the fields raises where an argument has none, or where there are too few."""


def declined(*_: Any) -> Any:
    """Stands for whatever else takes over a call that is not plain; see `unpacking`."""
    return _DECLINED


def unpacking(
    reference: Reference,
    dispatch: Callable[..., Any],
    slow: Slow,
) -> Callable[..., Any]:
    """A function that takes structures, and calls a dispatcher with their fields.

    Args:
        reference: Of the function.
        dispatch: Generated for its contract, with `declined` for calls that are not plain.
        slow: Takes over those, with the arguments as they were given.
    """
    read = reader(reference.written, reference.structures)

    def fast(*args: Any) -> Any:
        try:
            fields = read(*args)
        except _MISFITS:
            returned = _DECLINED
        else:
            returned = dispatch(*fields)
        return slow(args, {}, None) if returned is _DECLINED else returned

    return fast


def adopting_fields(reference: Reference, slow: Slow) -> Callable[..., Any]:
    """A function that runs the reference with the structures that it is given.

    Where a field is an array of another library, a structure with NumPy's takes its place.

    Args:
        reference: Of the function.
        slow: Takes over calls whose arguments are too few, or lack a field.
    """
    fn, structures = reference.written, reference.structures
    names = [argument.name for argument in reference.contract.arguments]
    read = reader(fn, structures)
    adopt = adopting(reference.contract, lambda *fields: fields)

    def call(*args: Any) -> Any:
        try:
            fields = read(*args)
        except _MISFITS:
            fields = None
        if fields is None:
            return slow(args, {}, None)
        taken = adopt(*fields)
        if all(map(is_, taken, fields)):
            return fn(*args)
        return fn(*put_together(structures, dict(zip(names, taken, strict=True))).values())

    return call
