"""Asking a model: from the record if it was asked before, else within the budget, with retries.

Every exchange is stored for good before its replies are used, and every request that may have been
charged is counted, whether it brought anything or not.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from outpace.codegen.llm.budget import Allowance, Ledger, Spent
from outpace.codegen.llm.constraint import Constraint
from outpace.codegen.llm.exchange import ChatMessage, Exchange, Exchanges, Reply, Rounds, Usage
from outpace.codegen.llm.options import ModelOptions
from outpace.codegen.llm.transport import ChatRequest, Completion, RequestFailed, Trouble

_CHARACTERS_A_TOKEN = 2.0
"""Fewer than in any text that a model reads here, so that estimates are upper ones."""
_TEMPLATE_TOKENS = 64
"""What a chat template adds to a prompt."""
_LONGEST_WAIT = 60.0


class Stopped(Exception):  # noqa: N818  (an outcome, not a fault)
    """The model is not asked any more; the text says why, for a person.

    Attributes:
        failure: The failure of a request that led to it, or None.
    """

    def __init__(self, reason: str, failure: RequestFailed | None = None) -> None:
        super().__init__(reason)
        self.failure = failure


class Sender(Protocol):
    """What an `Asker` asks; a `Transport`."""

    def send(self, request: ChatRequest, seconds: float) -> Completion:
        """One request; raises RequestFailed."""
        ...


@dataclass(frozen=True)
class Manner:
    """Which parameters of the API a server takes; learnt from what it rejects.

    Attributes:
        length: Name of the limit of tokens.
        temperature: Whether it takes a temperature.
        several: Whether it takes a number of replies.
    """

    length: str = "max_tokens"
    temperature: bool = True
    several: bool = True

    def without(self, parameter: str | None) -> Manner | None:
        """The manner that does without a rejected parameter; None where there is none."""
        if parameter == "max_tokens" and self.length == parameter:
            return replace(self, length="max_completion_tokens")
        if parameter == "temperature" and self.temperature:
            return replace(self, temperature=False)
        if parameter == "n" and self.several:
            return replace(self, several=False)
        return None


class Asker:
    """Asks one model.

    Args:
        sender: Reaches the server; None where only recorded exchanges may be used.
        options: Limits and patience.
        ledger: What may be spent, and was.
        exchanges: Where exchanges are kept.
        rounds: Recorded with every exchange.
        sleep: Waits between retries.

    Attributes:
        ledger: The budget.
        context: Tokens that prompt and replies may have together; None where unknown.
    """

    def __init__(
        self,
        sender: Sender | None,
        options: ModelOptions,
        ledger: Ledger,
        exchanges: Exchanges,
        rounds: Rounds,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.ledger = ledger
        self.context: int | None = None
        self._sender = sender
        self._options = options
        self._exchanges = exchanges
        self._rounds = rounds
        self._sleep = sleep
        self._manner = Manner()
        self._characters_a_token = _CHARACTERS_A_TOKEN

    @property
    def spent(self) -> Spent | None:
        """What asking has cost; None where recorded exchanges alone are used, which is free."""
        return self.ledger.spent if self._sender is not None else None

    def ask(
        self,
        place: str,
        prompt: tuple[ChatMessage, ...],
        samples: int,
        *,
        reply_tokens: int | None = None,
        constraint: Constraint | None = None,
    ) -> Exchange:
        """Up to so many replies to a prompt.

        Args:
            place: Where in the drafting this is; asked before, the same replies come again.
            prompt: The messages.
            samples: Replies wanted; there may be fewer.
            reply_tokens: Most tokens of each; None for what the options say.
            constraint: Form of the replies that the server is asked to enforce.

        Raises:
            Stopped: There are none, for a reason that will not go away soon.
            StorageError: The exchange could not be recorded.
        """
        found = self._exchanges.find(place)
        if found is not None:
            return found
        if self._sender is None:
            raise Stopped("the recorded exchanges end here")
        failures = 0
        while True:
            allowed = self._allowed(prompt, samples, reply_tokens or self._options.reply_tokens)
            request = self._request(prompt, allowed, constraint)
            try:
                completion = self._sender.send(request, self._options.request_seconds)
            except RequestFailed as failure:
                manner = self._manner.without(failure.parameter)
                if failure.trouble is Trouble.REJECTED and manner is not None:
                    self._manner = manner
                    continue
                self._charge_failure(place, prompt, allowed, failure)
                failures += 1
                if not failure.is_temporary or failures > self._options.retries:
                    raise Stopped(str(failure), failure) from failure
                self._wait(failures, failure)
            else:
                return self._kept(place, prompt, allowed, completion)

    def recorded(self, place: str) -> list[Exchange]:
        """What was asked within a round and lineage such as `0/2` and answered, in order."""
        found: dict[int, Exchange] = {}
        for exchange in self._exchanges.all():
            within, _, part = exchange.place.rpartition("/")
            if within == place and exchange.replies:
                found.setdefault(int(part), exchange)
        return [found[part] for part in sorted(found)]

    # --- requests that others send ------------------------------------------------------------

    def reserve(self, prompt: tuple[ChatMessage, ...]) -> int:
        """Count a request for one reply as spent in full; the most tokens that reply may have.

        Raises:
            Stopped: The budget does not allow it.
        """
        allowed = self._allowed(prompt, 1, self._options.reply_tokens)
        self.ledger.charge(Usage(self._estimate(prompt), allowed.reply_tokens, reported=False))
        return allowed.reply_tokens

    def keep(self, place: str, prompt: tuple[ChatMessage, ...], completion: Completion) -> None:
        """Record the one reply that another program got to a prompt.

        Raises:
            StorageError: It could not be recorded.
        """
        self._kept(place, prompt, Allowance(1, self._options.reply_tokens), completion)

    def keep_failure(
        self, place: str, prompt: tuple[ChatMessage, ...], failure: RequestFailed
    ) -> None:
        """Record what a request of another program that brought no reply may have cost.

        Raises:
            StorageError: It could not be recorded.
        """
        self._charge_failure(place, prompt, Allowance(1, self._options.reply_tokens), failure)

    # --- the budget ---------------------------------------------------------------------------

    def _allowed(
        self, prompt: tuple[ChatMessage, ...], samples: int, reply_tokens: int
    ) -> Allowance:
        """What the budget leaves for a request; raises Stopped when it is spent."""
        if self.ledger.seconds_left() <= 0:
            raise Stopped("the time for drafting is over")
        read = self._estimate(prompt)
        if self.context is not None:
            reply_tokens = min(reply_tokens, self.context - read)
        if reply_tokens <= 0:
            raise Stopped(
                f"a prompt of some {read} tokens leaves no room for a reply: the model's context "
                f"has {self.context}"
            )
        allowed = self.ledger.allowance(read, samples if self._manner.several else 1, reply_tokens)
        if allowed is None:
            spent = self.ledger.spent
            raise Stopped(
                f"the budget for drafting is spent: {spent.tokens} tokens, ${spent.cost:.4f}"
            )
        return allowed

    def _request(
        self,
        prompt: tuple[ChatMessage, ...],
        allowed: Allowance,
        constraint: Constraint | None,
    ) -> ChatRequest:
        parameters: dict[str, Any] = {self._manner.length: allowed.reply_tokens}
        if self._manner.temperature:
            parameters["temperature"] = self._options.temperature
        if self._manner.several and allowed.samples > 1:
            parameters["n"] = allowed.samples
        return ChatRequest(prompt, parameters, constraint.body if constraint is not None else {})

    def _kept(
        self,
        place: str,
        prompt: tuple[ChatMessage, ...],
        allowed: Allowance,
        completion: Completion,
    ) -> Exchange:
        usage = completion.usage or self._estimated(prompt, completion.replies)
        if completion.usage is not None and usage.prompt > 0:
            self._learn(prompt, usage.prompt)
        return self._record(place, prompt, allowed, completion.replies[: allowed.samples], usage)

    def _charge_failure(
        self,
        place: str,
        prompt: tuple[ChatMessage, ...],
        allowed: Allowance,
        failure: RequestFailed,
    ) -> None:
        """Count what a failed request may have cost: all it was allowed to."""
        if failure.may_be_charged:
            most = allowed.samples * allowed.reply_tokens
            self._record(place, prompt, allowed, (), Usage(self._estimate(prompt), most, False))

    def _record(
        self,
        place: str,
        prompt: tuple[ChatMessage, ...],
        allowed: Allowance,
        replies: tuple[Reply, ...],
        usage: Usage,
    ) -> Exchange:
        exchange = Exchange(
            place=place,
            model=self._options.model,
            rounds=self._rounds,
            asked=allowed.samples,
            prompt=prompt,
            replies=replies,
            usage=usage,
            cost=self.ledger.cost_of(usage),
        )
        self.ledger.charge(usage)
        self._exchanges.keep(exchange)
        return exchange

    def _wait(self, failures: int, failure: RequestFailed) -> None:
        """Twice as long each time, and by chance up to twice that, so that clients spread out."""
        wait = self._options.retry_seconds * 2 ** (failures - 1) * random.uniform(1.0, 2.0)  # noqa: S311
        wait = min(max(wait, failure.wait or 0.0), _LONGEST_WAIT)
        if wait >= self.ledger.seconds_left():
            raise Stopped(f"the time for drafting is over; {failure}", failure) from failure
        self._sleep(wait)

    # --- counting tokens ----------------------------------------------------------------------

    def _estimate(self, prompt: tuple[ChatMessage, ...]) -> int:
        """Tokens of a prompt, rather too many."""
        return _TEMPLATE_TOKENS + int(_characters(prompt) / self._characters_a_token) + 1

    def _estimated(self, prompt: tuple[ChatMessage, ...], replies: tuple[Reply, ...]) -> Usage:
        """Usage where the server tells none."""
        written = sum(len(reply.text.encode()) for reply in replies)
        return Usage(self._estimate(prompt), int(written / _CHARACTERS_A_TOKEN) + 1, False)

    def _learn(self, prompt: tuple[ChatMessage, ...], tokens: int) -> None:
        """Take the server's own count as the measure, a tenth on the safe side."""
        measured = 0.9 * _characters(prompt) / tokens
        self._characters_a_token = min(max(measured, 1.0), 4 * _CHARACTERS_A_TOKEN)


def _characters(prompt: tuple[ChatMessage, ...]) -> int:
    return sum(len(message.content.encode()) for message in prompt)
