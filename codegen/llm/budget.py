"""What drafting may spend, and what it has spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf

from outpace.codegen.llm.exchange import Exchange, Usage
from outpace.codegen.llm.options import ModelOptions, Prices

LEAST_REPLY = 256
"""Tokens below which a reply could hold no kernel, so that it is not asked for."""
_MILLION = 1_000_000


@dataclass(frozen=True)
class Spent:
    """What drafting cost.

    Attributes:
        requests: That were answered, or may have been charged.
        prompt_tokens: Read by the model.
        completion_tokens: Written by it.
        cost: US dollars.
        estimated: Whether a server left out token counts, so that these are upper estimates.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    estimated: bool = False

    @property
    def tokens(self) -> int:
        """Of both kinds."""
        return self.prompt_tokens + self.completion_tokens

    def plus(self, usage: Usage, cost: float) -> Spent:
        """With one more request."""
        return Spent(
            self.requests + 1,
            self.prompt_tokens + usage.prompt,
            self.completion_tokens + usage.completion,
            self.cost + cost,
            self.estimated or not usage.reported,
        )


@dataclass(frozen=True)
class Allowance:
    """What one request may ask for: so many replies of so many tokens each."""

    samples: int
    reply_tokens: int


class Ledger:
    """The budget of a campaign.

    Args:
        options: The limits.
        earlier: Exchanges of earlier runs, which count as well.
        clock: Seconds, for the limit of minutes.
    """

    def __init__(
        self,
        options: ModelOptions,
        earlier: Iterable[Exchange] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._prices = options.prices or Prices(0.0, 0.0)
        self._clock = clock
        self._begin = clock()
        self.spent = Spent()
        for exchange in earlier:
            self.spent = self.spent.plus(exchange.usage, exchange.cost)

    def cost_of(self, usage: Usage) -> float:
        """US dollars for these tokens."""
        prices = self._prices
        return (usage.prompt * prices.prompt + usage.completion * prices.completion) / _MILLION

    def charge(self, usage: Usage) -> None:
        """Count what a request has spent."""
        self.spent = self.spent.plus(usage, self.cost_of(usage))

    def seconds_left(self) -> float:
        """Until no request may start, infinite without a limit."""
        if self._options.most_minutes is None:
            return inf
        return 60 * self._options.most_minutes - (self._clock() - self._begin)

    def allowance(self, prompt_tokens: int, samples: int, reply_tokens: int) -> Allowance | None:
        """The most of what is wanted that fits into the budget, fewer replies before shorter ones.

        Args:
            prompt_tokens: Of the prompt, which a request is charged once.
            samples: Replies wanted.
            reply_tokens: Most tokens of one.
        """
        least = min(reply_tokens, LEAST_REPLY)
        written = self._completion_left(prompt_tokens)
        for count in range(samples, 0, -1):
            each = int(min(written / count, reply_tokens))
            if each >= (reply_tokens if count > 1 else least):
                return Allowance(count, each)
        return None

    def _completion_left(self, prompt_tokens: int) -> float:
        """Tokens that may be written after this prompt was read."""
        options, spent, prices = self._options, self.spent, self._prices
        left = inf
        if options.most_tokens is not None:
            left = options.most_tokens - spent.tokens - prompt_tokens
        if options.most_cost is not None:
            money = options.most_cost - spent.cost - prompt_tokens * prices.prompt / _MILLION
            if money <= 0 < prices.prompt + prices.completion:
                return 0
            if prices.completion > 0:
                left = min(left, money * _MILLION // prices.completion)
        return left
