"""What a server can do, found out by trying: many accept a parameter and ignore it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from outpace.codegen.llm.asking import Asker, Stopped
from outpace.codegen.llm.constraint import Enforcement, code_constraint
from outpace.codegen.llm.exchange import ChatMessage, Exchange
from outpace.codegen.llm.transport import Trouble

_PROMPT = (ChatMessage("user", "Name the day after Monday, in one word."),)
_TOKENS = 512
"""Enough for a model that thinks before it answers."""
_CODE = re.compile(r"outpace-[0-9]{4}")


@dataclass(frozen=True)
class Abilities:
    """What a server was seen to do.

    Attributes:
        enforcement: How it enforces the form of replies; None where it does not.
        several: Whether it gives as many replies to one request as it is asked for.
        usage: Whether it reports the tokens that were spent.
    """

    enforcement: Enforcement | None
    several: bool
    usage: bool


def probe(asker: Asker) -> Abilities:
    """Try what a server can do, with at most three small requests, which are recorded.

    Raises:
        Stopped: It does not answer at all.
    """
    for enforcement in Enforcement:
        exchange = _tried(asker, enforcement)
        if exchange is not None and all(_CODE.fullmatch(r.text.strip()) for r in exchange.replies):
            return _abilities(exchange, enforcement)
    return _abilities(asker.ask("probe/plain", _PROMPT, 2, reply_tokens=_TOKENS), None)


def _tried(asker: Asker, enforcement: Enforcement) -> Exchange | None:
    """The replies under a form; None where the server rejects such requests."""
    try:
        return asker.ask(
            f"probe/{enforcement.value}",
            _PROMPT,
            2,
            reply_tokens=_TOKENS,
            constraint=code_constraint(enforcement),
        )
    except Stopped as stopped:
        if stopped.failure is not None and stopped.failure.trouble is Trouble.REJECTED:
            return None
        raise


def _abilities(exchange: Exchange, enforcement: Enforcement | None) -> Abilities:
    several = exchange.asked > 1 and len(exchange.replies) == exchange.asked
    return Abilities(enforcement, several, exchange.usage.reported)
