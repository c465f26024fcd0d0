"""The one line of JSON that declares a draft: above its source, and in a model's reply.

It is an object with any of

- `language`: name of the language;
- `idea`: a few words that name the draft;
- `parameters`: name to declaration, see `outpace.codegen.parameters`;
- `constraints`: expressions over the parameters, all of which must hold;
- `flags`: options of the language;
- `plan`: the launch plan of a draft in CUDA, see `outpace.codegen.cuda`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from outpace.codegen.constraints import constraints_of
from outpace.codegen.parameters import read_parameter
from outpace.codegen.visible import hidden_character
from outpace.errors import DraftError
from outpace.model import Draft, Provenance, Scalar

_KINDS = (
    ("parameters", dict, "object"),
    ("constraints", list, "array"),
    ("flags", dict, "object"),
    ("plan", dict, "object"),
    ("idea", str, "string"),
    ("language", str, "string"),
)


def read_header(text: str) -> dict[str, Any]:
    """The object on a header line.

    Raises:
        DraftError: It is not JSON, or a key or the type of a value is none of the above.
    """
    try:
        header = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DraftError(f"the header line is not JSON: {error}") from error
    known = [key for key, _, _ in _KINDS]
    if not isinstance(header, dict) or set(header) - set(known):
        raise DraftError(
            f"the header line must be a JSON object with keys among {', '.join(known)}"
        )
    for key, kind, called in _KINDS:
        if not isinstance(header.get(key, kind()), kind):
            raise DraftError(f"`{key}` in the header line must be a JSON {called}")
    if (hidden := hidden_character("".join(_strings(header)))) is not None:
        name, _, _ = hidden.partition(" ")
        raise DraftError(f"the header line holds a character that is not shown, {name}")
    for name, value in header.get("flags", {}).items():
        if not isinstance(value, Scalar):
            raise DraftError(f"the flag {name!r} must be a number, a boolean or a string")
    return header


def declared_draft(
    header: Mapping[str, Any], language: str, source: str, provenance: Provenance
) -> Draft:
    """The draft that a header declares.

    Args:
        header: As `read_header` gives it.
        language: Name of the draft's language.
        source: What the header stands above.
        provenance: The idea of the header takes the place of its idea.

    Raises:
        DraftError: The header names another language, or a parameter, a constraint or the plan is
            malformed.
    """
    if header.get("language", language) != language:
        raise DraftError(f"the draft says it is {header['language']}, not {language}")
    declared = header.get("parameters", {})
    parameters = tuple(read_parameter(name, declared[name]) for name in declared)
    constraints = tuple(map(str, header.get("constraints", [])))
    constraints_of(parameters, constraints)
    if "plan" in header:
        source = _planned(header["plan"], language, source)
    return Draft(
        language,
        source,
        parameters,
        constraints,
        header.get("flags", {}),
        msgspec.structs.replace(provenance, idea=header.get("idea", provenance.idea)),
    )


def _planned(plan: Any, language: str, source: str) -> str:
    """Source that carries its launch plan."""
    if language != "cuda":
        raise DraftError(f"drafts in {language} have no plan; take `plan` out of the header line")
    from outpace.codegen.cuda import parse_plan, with_plan  # noqa: PLC0415  (imports on demand)

    try:
        return with_plan(parse_plan(plan), source)
    except DraftError as error:
        raise DraftError(f"the launch plan: {error}") from error


def _strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value; names too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _strings(part)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")
