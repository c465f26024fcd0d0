"""Requests to a model and what came back, as they are recorded, and where they are kept.

An exchange is named by its place in the drafting, not by its text: what a prompt says depends on
times that differ from run to run, and what was paid for is used again all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from outpace.codec import Value


class ChatMessage(Value, frozen=True):
    """One message; `role` is `system` or `user`."""

    role: str
    content: str


class Reply(Value, frozen=True):
    """One of the replies to a request.

    Attributes:
        text: What the model wrote.
        finish_reason: As the server gives it: `stop`, or `length` where it was cut short.
    """

    text: str
    finish_reason: str


class Usage(Value, frozen=True):
    """Tokens of one request.

    Attributes:
        prompt: Tokens that were read.
        completion: Tokens that were written, over all replies.
        reported: Whether the server said so; else they are estimated from above.
    """

    prompt: int
    completion: int
    reported: bool = True

    @property
    def total(self) -> int:
        """Of both kinds."""
        return self.prompt + self.completion


class Rounds(Value, frozen=True):
    """How drafting is divided.

    Attributes:
        count: Rounds.
        samples: Drafts that are asked for in each, over all lineages.
        languages: In which they are wanted.
    """

    count: int
    samples: int
    languages: tuple[str, ...]


class Exchange(Value, frozen=True):
    """A request and its replies.

    Attributes:
        place: Round, lineage and part, such as `0/2/1`, or the name of a probe.
        model: Name of the model.
        rounds: The drafting that it belongs to.
        asked: Replies that were asked for.
        prompt: The messages.
        replies: What came back; empty for a request that failed and may have been charged.
        usage: Tokens that were spent.
        cost: The same in US dollars.
    """

    place: str
    model: str
    rounds: Rounds
    asked: int
    prompt: tuple[ChatMessage, ...]
    replies: tuple[Reply, ...]
    usage: Usage
    cost: float


class Exchanges(Protocol):
    """Keeps exchanges; what `keep` has taken is there after a crash."""

    def find(self, place: str) -> Exchange | None:
        """The exchange of that place which brought replies, or None."""
        ...

    def keep(self, exchange: Exchange) -> None:
        """Store an exchange for good.

        Raises:
            StorageError: It could not be stored; its replies must not be used.
        """
        ...

    def all(self) -> Sequence[Exchange]:
        """Every exchange, also those that brought nothing, in order."""
        ...


class KeptExchanges:
    """Exchanges in memory, for requests that no campaign makes."""

    def __init__(self) -> None:
        self._kept: list[Exchange] = []

    def find(self, place: str) -> Exchange | None:
        """See `Exchanges`."""
        return next((e for e in self._kept if e.place == place and e.replies), None)

    def keep(self, exchange: Exchange) -> None:
        """See `Exchanges`."""
        self._kept.append(exchange)

    def all(self) -> Sequence[Exchange]:
        """See `Exchanges`."""
        return tuple(self._kept)
