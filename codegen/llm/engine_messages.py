"""What a drafter and its engine say to each other: one line of JSON through a pipe, each way.

The engine is given a `Setup` and says `Ready`; then every `Ask` gets `Answered` or `Refused`.
Instead of any of these it may say `Failed`, and end. The end of its input means that it is not
needed any more.
"""

from __future__ import annotations

from typing import Any

import msgspec

from outpace.codegen.llm.exchange import ChatMessage, Reply, Usage


class Setup(msgspec.Struct, frozen=True):
    """What to load.

    Attributes:
        folder: Of the model.
        arguments: More arguments of `vllm.LLM`, by name.
    """

    folder: str
    arguments: dict[str, Any]


class Ask(msgspec.Struct, frozen=True):
    """A request for replies.

    Attributes:
        prompt: The messages.
        samples: Replies wanted.
        reply_tokens: Most tokens of each.
        temperature: Of sampling.
        seed: Of sampling.
        form: Arguments of `StructuredOutputsParams`; None for free text.
    """

    prompt: tuple[ChatMessage, ...]
    samples: int
    reply_tokens: int
    temperature: float
    seed: int
    form: dict[str, Any] | None


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The model is loaded; prompt and reply may have `context` tokens together."""

    context: int


class Answered(msgspec.Struct, frozen=True, tag=True):
    """The replies to a request, and its tokens."""

    replies: tuple[Reply, ...]
    usage: Usage


class Refused(msgspec.Struct, frozen=True, tag=True):
    """This request cannot be answered; another may be."""

    reason: str


class Failed(msgspec.Struct, frozen=True, tag=True):
    """No request can be answered any more."""

    reason: str


Said = Ready | Answered | Refused | Failed
"""What an engine may say."""
