"""Which model is asked, how, and what it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from outpace.codec import content_hash
from outpace.errors import UsageError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Prices:
    """US dollars for a million tokens that a model reads, and that it writes."""

    prompt: float
    completion: float

    def __post_init__(self) -> None:
        if not all(isfinite(p) and p >= 0 for p in (self.prompt, self.completion)):
            raise UsageError(f"prices must be 0 or more, not {self.prompt} and {self.completion}")


@dataclass(frozen=True)
class EngineOptions:
    """How vLLM is run without a server.

    Attributes:
        folder: Of the model: its `config.json`, weights and tokenizer. Nothing is downloaded.
        arguments: More arguments of `vllm.LLM`, by name.
        start_seconds: After which a model that has not been loaded is given up.

    Raises:
        UsageError: The folder holds no model, or an argument names another.
    """

    folder: Path
    arguments: Mapping[str, Any] = field(default_factory=dict)
    start_seconds: float = 1800.0

    def __post_init__(self) -> None:
        if not (self.folder / "config.json").is_file():
            raise UsageError(
                f"{self.folder} is no folder with a config.json; write --model FOLDER with a model "
                "in Hugging Face's layout; nothing is downloaded"
            )
        if "model" in self.arguments:
            raise UsageError("the engine options name a model; write --model FOLDER instead")


@dataclass(frozen=True)
class ModelOptions:
    """How a model is asked for drafts.

    Attributes:
        base_url: Of an OpenAI-compatible server, for example `http://localhost:8000/v1`; None
            where there is an engine instead.
        model: Name of the model there; for an engine the name under which exchanges are recorded.
        rounds: Times it is asked.
        samples: Drafts that are asked for in each round.
        reply_tokens: Most tokens of one reply, reasoning included.
        temperature: Of sampling.
        docstrings: Whether docstrings and comments of the reference are shown to it.
        most_tokens: That a campaign may spend, earlier runs of it included; None for no limit.
        most_cost: US dollars that it may spend, likewise.
        most_minutes: No request starts later in this run; None for no limit.
        prices: Of the tokens; None where they cost nothing.
        request_seconds: After which a request is given up.
        retries: How often a request is repeated that met a busy or broken server.
        retry_seconds: Wait before the first of these, doubled each time, with jitter.
        engine: How vLLM is run without a server; None where there is one.

    Raises:
        UsageError: A value is out of range, or money is limited and nothing says what tokens cost,
            or there is not either a server or an engine.
    """

    base_url: str | None
    model: str
    rounds: int = 4
    samples: int = 8
    reply_tokens: int = 8192
    temperature: float = 0.8
    docstrings: bool = True
    most_tokens: int | None = None
    most_cost: float | None = None
    most_minutes: float | None = None
    prices: Prices | None = None
    request_seconds: float = 300.0
    retries: int = 4
    retry_seconds: float = 1.0
    engine: EngineOptions | None = None

    def __post_init__(self) -> None:
        if (self.base_url is None) == (self.engine is None):
            raise UsageError("a model is asked through a server or an engine, one of them")
        if self.base_url is not None:
            _check_url(self.base_url)
        if not self.model:
            raise UsageError("the model needs a name; write --model NAME")
        counts = {
            "rounds": self.rounds,
            "samples": self.samples,
            "reply tokens": self.reply_tokens,
            "tokens": self.most_tokens,
            "cost": self.most_cost,
            "minutes": self.most_minutes,
        }
        for name, value in counts.items():
            if value is not None and not (isfinite(value) and value > 0):
                raise UsageError(f"the limit of {name} must be positive, not {value}")
        if self.most_cost is not None and self.prices is None and not self.is_local:
            raise UsageError(
                "a limit of cost needs the prices of tokens; write --price IN,OUT in dollars for a "
                "million tokens read and written"
            )

    @property
    def is_local(self) -> bool:
        """Whether the model runs on this machine."""
        return self.base_url is None or urlsplit(self.base_url).hostname in _LOOPBACK

    @property
    def label(self) -> str:
        """The model and where it is, for a person."""
        return f"{self.model} {'in vLLM' if self.base_url is None else f'at {self.base_url}'}"

    @property
    def identity(self) -> str:
        """Tells campaigns apart that must not use each other's exchanges.

        The same model elsewhere is the same, and more rounds go on where fewer have ended.
        """
        asked = [self.model, self.samples, self.temperature, self.docstrings]
        if self.engine is None:
            return f"openai:{self.model}:{content_hash(asked)}"
        asked += [str(self.engine.folder.resolve()), dict(self.engine.arguments)]
        return f"vllm:{self.model}:{content_hash(asked)}"


def _check_url(url: str) -> None:
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is no base URL; write --base-url http://localhost:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query:
        raise UsageError(
            "the base URL holds a user name, password or query; keys belong into OPENAI_API_KEY, "
            "so that they are written nowhere"
        )


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return parts
