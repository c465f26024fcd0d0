"""The kernel in C that a program for MPI ranks holds: finding it without running the program."""

from __future__ import annotations

import ast
from typing import NamedTuple

from outpace.codegen.c_options import COMPILE, FLAGS
from outpace.errors import DraftError

SOURCE, OPTIONS = "KERNEL_C", "KERNEL_OPTIONS"
"""Constants of a program that hold its C text, and the options with which it is compiled."""


class Embedded(NamedTuple):
    """C text in a program, and the options with which it is compiled."""

    source: str
    options: tuple[str, ...]


def embedded_c(program: str) -> Embedded | None:
    """The C text of a program, read without running it; None where it has none.

    Raises:
        DraftError: The constants that hold it are no literals, or an option is not allowed.
    """
    try:
        body = ast.parse(program).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # loading it will say why
    found = {}
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in (SOURCE, OPTIONS):
                try:
                    found[name] = ast.literal_eval(value)
                except ValueError as error:
                    raise DraftError(f"{name} must be a literal") from error
    if SOURCE not in found:
        return None
    source, options = found[SOURCE], found.get(OPTIONS, ())
    if not isinstance(source, str) or not isinstance(options, tuple):
        raise DraftError(f"{SOURCE} must be text, and {OPTIONS} a tuple of options")
    if refused := [option for option in options if option not in (*COMPILE, *FLAGS)]:
        raise DraftError(
            f"{OPTIONS} holds {refused[0]!r}; allowed are {', '.join([*COMPILE, *sorted(FLAGS)])}"
        )
    return Embedded(source, options)
