"""What every language must do, and the header line that any draft file may open with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from outpace.codegen.cuda.draft import planned
from outpace.codegen.header import declared_draft, read_header
from outpace.codegen.parameters import write_parameter
from outpace.codegen.visible import hidden_character
from outpace.errors import DraftError
from outpace.model import Contract, Draft, Provenance, Variant

MARK = "outpace:"

Kernel = Callable[..., None]
"""A loaded kernel in the calling convention of `outpace.codegen.abi`."""


class BuildError(Exception):
    """A draft does not compile; the text goes back to the drafter."""


class InvalidDraft(Exception):  # noqa: N818  (an outcome, not a fault)
    """A draft does not define what its language asks for; the text says what is missing."""


class Language(Protocol):
    """One language of drafts.

    `build` and `load` run code of the draft: during judging only inside its confined processes.
    `build` may start programs and writes to nothing but the cache folder; `load` does neither.
    The cache folder that `load` gets is a copy, which may be written to and is thrown away.
    """

    name: str
    suffix: str
    comment: str
    runs_to_build: bool
    """Whether `build` runs code of the draft, and its kernels may compile more when called; such a
    build may start no programs."""

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
        """The kernel of bound source, from the cache that `build` wrote to. Raises as `build`."""


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
        DraftError: The header line is malformed, or the text holds characters that are not shown.
    """
    if (hidden := hidden_character(text)) is not None:
        raise DraftError(f"the draft holds a character that no reader would see: {hidden}")
    first, _, rest = text.partition("\n")
    opening = f"{language.comment} {MARK}"
    if not first.startswith(opening):
        return Draft(language.name, text, provenance=provenance)
    header = read_header(first[len(opening) :])
    return declared_draft(header, language.name, rest, provenance)


def render_draft(draft: Draft, language: Language) -> str:
    """The text of a draft file; `parse_draft` reads it back."""
    header: dict[str, Any] = {}
    if draft.parameters:
        header["parameters"] = {p.name: write_parameter(p) for p in draft.parameters}
    if draft.constraints:
        header["constraints"] = list(draft.constraints)
    if draft.flags:
        header["flags"] = draft.flags
    source = draft.source
    if language.name == "cuda" and (carried := planned(source)) is not None:
        header["plan"], source = carried
    if not header and not source.startswith(f"{language.comment} {MARK}"):
        return source
    return f"{language.comment} {MARK} {json.dumps(header)}\n{source}"
