"""Parameters as macros, for languages that have a C preprocessor."""

from __future__ import annotations

import re
from collections.abc import Iterable

from outpace.model import Parameter, Scalar

_LEAST = -(2**63)


def macros(parameters: Iterable[Parameter]) -> str:
    """Definitions of bound parameters, one a line."""
    return "".join(f"#define {p.name} {macro_value(p.values[0])}\n" for p in parameters)


def macro_value(value: Scalar) -> str:
    """A parameter as C reads it; text becomes tokens, such as the name of a type."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str):
        return value
    if value == _LEAST:  # in C a minus sign is no part of a number
        return f"({_LEAST + 1} - 1)"
    return f"({value!r})"


def without_own_definitions(source: str, parameters: Iterable[Parameter]) -> str:
    """Source in which definitions of parameters that the draft has itself get another name.

    They would win, and all variants of the draft would be the same.
    """
    for parameter in parameters:
        own = rf"^([ \t]*#[ \t]*define[ \t]+){re.escape(parameter.name)}\b"
        source = re.sub(own, rf"\g<1>{parameter.name}_of_draft", source, flags=re.MULTILINE)
    return source
