"""What every language must do, and the header line that any draft file may open with."""

from __future__ import annotations

import json
import keyword
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from outpace.codegen.domain import free_names
from outpace.errors import ContractError, DraftError
from outpace.model import Contract, Draft, Parameter, Provenance, Scalar, Variant

MARK = "outpace:"
_HEADER_KINDS = (
    ("parameters", dict, "object"),
    ("constraints", list, "array"),
    ("flags", dict, "object"),
    ("idea", str, "string"),
    ("language", str, "string"),
)

Kernel = Callable[..., None]
"""A loaded kernel in the calling convention of `outpace.codegen.abi`."""


class BuildError(Exception):
    """A draft does not compile; the text goes back to the drafter."""


class InvalidDraft(Exception):  # noqa: N818  (an outcome, not a fault)
    """A draft does not define what its language asks for; the text says what is missing."""


class Language(Protocol):
    """One language of drafts.

    `build` and `load` run code of the draft: during judging only inside its confined process.
    """

    name: str
    suffix: str
    comment: str

    def unavailable(self) -> str | None:
        """Why the language cannot be used here and how to get it, or None."""

    def bind(self, variant: Variant) -> str:
        """Source text with the parameters of the variant bound."""

    def build(self, path: Path, contract: Contract, cache: Path) -> None:
        """Compile bound source into the cache folder.

        Raises:
            BuildError: The compiler refuses it.
            InvalidDraft: It does not define the kernel.
        """

    def load(self, path: Path, contract: Contract, cache: Path) -> Kernel:
        """The kernel of bound source, from the cache where it was built. Raises as `build`."""

    def load_promoted(self, source_path: Path, variant: Variant, contract: Contract) -> Kernel:
        """The kernel of a promotion, for the process of the caller. Raises as `build`."""


def read_draft(path: Path, language: Language, provenance: Provenance | None = None) -> Draft:
    """Read a draft file.

    Raises:
        DraftError: It does not exist, is not text, or its header line is malformed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DraftError(f"the draft {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DraftError(f"the draft {path} is not text in UTF-8: {error}") from error
    return parse_draft(text, language, provenance or Provenance("user", idea=path.stem))


def parse_draft(text: str, language: Language, provenance: Provenance) -> Draft:
    """A draft from the text of its file, with or without a header line.

    Raises:
        DraftError: The header line is malformed.
    """
    first, _, rest = text.partition("\n")
    opening = f"{language.comment} {MARK}"
    if not first.startswith(opening):
        return Draft(language.name, text, provenance=provenance)
    header = _header(first[len(opening) :])
    if header.get("language", language.name) != language.name:
        raise DraftError(f"the draft says it is {header['language']}, not {language.name}")
    return Draft(
        language.name,
        rest,
        tuple(_parameter(name, values) for name, values in header.get("parameters", {}).items()),
        _constraints(header),
        header.get("flags", {}),
        msgspec.structs.replace(provenance, idea=header.get("idea", provenance.idea)),
    )


def render_draft(draft: Draft, language: Language) -> str:
    """The text of a draft file; `parse_draft` reads it back."""
    header: dict[str, Any] = {}
    if draft.parameters:
        header["parameters"] = {p.name: list(p.values) for p in draft.parameters}
    if draft.constraints:
        header["constraints"] = list(draft.constraints)
    if draft.flags:
        header["flags"] = draft.flags
    if not header and not draft.source.startswith(f"{language.comment} {MARK}"):
        return draft.source
    return f"{language.comment} {MARK} {json.dumps(header)}\n{draft.source}"


def _header(text: str) -> dict[str, Any]:
    try:
        header = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise DraftError(f"the `{MARK}` header line is not JSON: {error}") from error
    known = [key for key, _, _ in _HEADER_KINDS]
    if not isinstance(header, dict) or set(header) - set(known):
        raise DraftError(
            f"the `{MARK}` header line must be a JSON object with keys among {', '.join(known)}"
        )
    for key, kind, called in _HEADER_KINDS:
        if not isinstance(header.get(key, kind()), kind):
            raise DraftError(f"`{key}` in the header line must be a JSON {called}")
    for name, value in header.get("flags", {}).items():
        if not isinstance(value, Scalar):
            raise DraftError(f"the flag {name!r} must be a number, a boolean or a string")
    return header


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _parameter(name: str, values: Any) -> Parameter:
    listed: list[Scalar] = values if isinstance(values, list) else [values]
    if not name.isidentifier() or keyword.iskeyword(name):
        raise DraftError(f"the parameter name {name!r} is not an identifier")
    if not listed or not all(isinstance(v, Scalar) for v in listed):
        raise DraftError(f"parameter {name!r} needs a list of numbers, booleans or strings")
    return Parameter(name, tuple(dict.fromkeys(listed)))


def _constraints(header: dict[str, Any]) -> tuple[str, ...]:
    names = set(header.get("parameters", {}))
    for text in header.get("constraints", []):
        try:
            unknown = set(free_names(str(text))) - names
        except ContractError as error:
            raise DraftError(f"constraint {text!r}: {error}") from error
        if unknown:
            raise DraftError(f"constraint {text!r} names {sorted(unknown)}, no parameter")
    return tuple(str(text) for text in header.get("constraints", []))
