"""What a model replied, read as a draft.

A reply is one line of JSON (see `outpace.codegen.header`) and one fenced block that holds the
source; what a model thought aloud before it, between reasoning tags, is dropped. Anything else is
refused with a reason that the model is told: which of two blocks was meant, or how a reply that was
cut short would have gone on, is not for us to guess.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from outpace.codegen.header import declared_draft, read_header
from outpace.codegen.visible import hidden_character
from outpace.errors import DraftError
from outpace.model import Draft, Provenance

LONGEST = 100_000
"""Characters of source; no kernel needs more."""
LONGEST_IDEA = 120
"""Characters of an idea, which names the draft in tables."""

_THOUGHT = "think|thinking|thought|reasoning|reflection"
_OPENED = re.compile(rf"\s*<({_THOUGHT})>", re.IGNORECASE)
_CLOSED = re.compile(rf"</(?:{_THOUGHT})>", re.IGNORECASE)
_FENCE = re.compile(r"(`{3,})[ \t]*([A-Za-z0-9_+.-]*)[ \t]*")


@dataclass(frozen=True)
class Refusal:
    """Why a reply, or the draft in it, is not judged; one sentence that the model is told."""

    reason: str


@dataclass(frozen=True)
class _Block:
    header: str
    source: str


def parse_reply(
    text: str, finish_reason: str, languages: Sequence[str], provenance: Provenance
) -> Draft | Refusal:
    """The draft in a reply.

    Args:
        text: The reply.
        finish_reason: As the server gives it; `length` where the reply was cut short.
        languages: Those that were asked for.
        provenance: Of the draft; its idea is taken from the header.

    Returns:
        The draft, or why there is none.
    """
    if finish_reason == "length":
        return Refusal("the reply was cut short by its length limit; write a shorter kernel")
    answer = _without_reasoning(text)
    if isinstance(answer, Refusal):
        return answer
    block = _only_block(answer)
    if isinstance(block, Refusal):
        return block
    return _draft(block, languages, provenance)


def _without_reasoning(text: str) -> str | Refusal:
    """The reply after its reasoning; some servers leave out the tag that opens it."""
    closed = _CLOSED.search(text)
    opened = _OPENED.match(text)
    if opened is not None and closed is None:
        return Refusal(f"the reply never ends its <{opened[1]}>; give an answer after it")
    if closed is None:
        return text
    before = text[: closed.start()]
    if opened is None and _FENCE.search(before):
        return Refusal(f"a {closed[0]} stands within the answer; leave reasoning tags out of it")
    return text[closed.end() :]


def _only_block(text: str) -> _Block | Refusal:
    # Not `splitlines`, which breaks lines at characters that a string in the source may hold.
    lines = text.strip().replace("\r\n", "\n").split("\n")
    if not lines[0]:
        return Refusal("the reply is empty; answer with one line of JSON and one fenced block")
    if not lines[0].startswith("{"):
        return Refusal(
            "the reply must open with one line of JSON, without any text or fence before it; it "
            f"opens with {_shown(lines[0])}"
        )
    source = _fenced("\n".join(lines[1:]).lstrip().split("\n"))
    return source if isinstance(source, Refusal) else _Block(lines[0], source)


def _fenced(lines: Sequence[str]) -> str | Refusal:
    """What stands in the one fenced block that these lines are."""
    fence = _FENCE.fullmatch(lines[0].rstrip())
    if fence is None:
        found = f"not {_shown(lines[0])}" if lines[0] else "which is missing"
        return Refusal(f"one fenced block must follow the line of JSON, {found}")
    body = lines[1:]
    ends = [i for i, line in enumerate(body) if _closes(line, fence[1])]
    if not ends:
        return Refusal("the fenced block is never closed")
    after = [line for line in body[ends[0] + 1 :] if line.strip()]
    if any(line.startswith("```") for line in after):
        return Refusal("the reply holds several fenced blocks; put the whole kernel into one")
    if after:
        return Refusal(f"nothing may follow the fenced block; found {_shown(after[0])}")
    return "\n".join(body[: ends[0]]) + "\n"


def _closes(line: str, fence: str) -> bool:
    stripped = line.rstrip()
    return len(stripped) >= len(fence) and set(stripped) == {"`"}


def _draft(block: _Block, languages: Sequence[str], provenance: Provenance) -> Draft | Refusal:
    unfit = _unfit(block.source)
    if unfit is not None:
        return Refusal(unfit)
    try:
        header = read_header(block.header)
        language = header.get("language", languages[0] if len(languages) == 1 else "")
        if language not in languages:
            return Refusal(f"`language` must be one of {', '.join(languages)}, not {language!r}")
        draft = declared_draft(header, language, block.source, provenance)
    except DraftError as error:
        return Refusal(str(error))
    idea = draft.provenance.idea
    if not idea.strip() or not idea.isprintable() or len(idea) > LONGEST_IDEA:
        return Refusal(f"`idea` must be one printable line of 1 to {LONGEST_IDEA} characters")
    return _syntax_error(draft) or draft


def _unfit(source: str) -> str | None:
    """Why no draft of any language may have this source."""
    if not source.strip():
        return "the fenced block is empty"
    if len(source) > LONGEST:
        return f"the source has over {LONGEST} characters; write a shorter kernel"
    hidden = hidden_character(source)
    return f"the source holds a character that is not shown, {hidden}" if hidden else None


def _syntax_error(draft: Draft) -> Refusal | None:
    if draft.language != "numba":
        return None  # there is no parser for the others here; the compiler tells
    try:
        ast.parse(draft.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Refusal(f"the source is not Python: {error}")
    return None


def _shown(line: str) -> str:
    return repr(line if len(line) <= 60 else f"{line[:57]}...")
