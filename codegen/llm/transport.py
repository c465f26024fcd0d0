"""One request to an OpenAI-compatible server: sent once, read within limits, failures classified.

Servers differ in what they accept and in what they leave out, and may be slow, broken or hostile:
nothing they send is trusted to be well-formed, short or ever complete.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec

from outpace.codegen.feedback import clean
from outpace.codegen.llm.exchange import ChatMessage, Reply, Usage
from outpace.codegen.llm.options import ModelOptions
from outpace.errors import EnvironmentError_

if TYPE_CHECKING:
    import openai

MOST_BYTES = 32 << 20
"""Of one answer; what is longer is no list of kernels."""
REDACTED = "[key]"
KEY_LENGTH = 12
"""Characters of the shortest text that is taken for a secret."""
_LONGEST_REASON = 500
_BUSY = (408, 409, 425, 429)
"""HTTP statuses that say: later."""
_NO_KEY = "none"
"""Local servers want none, the SDK wants one."""


class Trouble(Enum):
    """Why a request brought nothing."""

    UNREACHABLE = "the server cannot be reached"
    BUSY = "the server is busy or broken"
    REJECTED = "the server rejects the request"
    SLOW = "the model did not answer in time"
    BROKEN_OFF = "the connection broke off"
    MALFORMED = "the answer is not a list of replies"
    NO_ENGINE = "vLLM does not start"
    ENGINE_ENDED = "vLLM ended before it had answered"


class RequestFailed(Exception):  # noqa: N818  (an outcome, not a fault)
    """A request brought nothing.

    Attributes:
        trouble: What kind of failure.
        parameter: The parameter that the server names as the culprit, or None.
        wait: Seconds that the server asks to wait, or None.
    """

    def __init__(
        self,
        trouble: Trouble,
        detail: str,
        *,
        parameter: str | None = None,
        wait: float | None = None,
    ) -> None:
        super().__init__(f"{trouble.value}: {clean(detail, _LONGEST_REASON)}")
        self.trouble = trouble
        self.parameter = parameter
        self.wait = wait

    @property
    def may_be_charged(self) -> bool:
        """Whether the model may have worked before the request failed."""
        return self.trouble in (
            Trouble.SLOW,
            Trouble.BROKEN_OFF,
            Trouble.MALFORMED,
            Trouble.ENGINE_ENDED,
        )

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.trouble in (Trouble.UNREACHABLE, Trouble.BUSY, Trouble.BROKEN_OFF)


@dataclass(frozen=True)
class ChatRequest:
    """What is sent.

    Attributes:
        prompt: The messages.
        parameters: Of the API, by name, the model and the messages aside.
        extra: Parameters that only some servers know.
    """

    prompt: tuple[ChatMessage, ...]
    parameters: Mapping[str, Any]
    extra: Mapping[str, Any]


@dataclass(frozen=True)
class Completion:
    """What came back.

    Attributes:
        replies: In the server's order.
        usage: Tokens as the server reports them, or None.
    """

    replies: tuple[Reply, ...]
    usage: Usage | None


class Transport:
    """Sends requests to one server.

    Args:
        options: Where it is.
        key: Goes into the Authorization header and nowhere else; None for servers without.

    Raises:
        EnvironmentError_: The `openai` package is not installed.
    """

    def __init__(self, options: ModelOptions, key: str | None) -> None:
        self._model = options.model
        self._key = key
        self._client = _client(options, key)

    def send(self, request: ChatRequest, seconds: float) -> Completion:
        """Ask for completions and wait for them for so long.

        Raises:
            RequestFailed: There are none.
        """
        messages: Any = [{"role": m.role, "content": m.content} for m in request.prompt]

        def exchange(deadline: float) -> bytes:
            with self._client.chat.completions.with_streaming_response.create(
                model=self._model,
                messages=messages,
                timeout=seconds,
                extra_body=dict(request.extra) or None,
                **request.parameters,
            ) as response:
                return _read(response.iter_bytes(), deadline)

        return read_completion(self._within(seconds, exchange), self._redacted)

    def context_length(self, seconds: float) -> int | None:
        """Tokens that prompt and reply may have together, or None where the server does not say."""

        def exchange(deadline: float) -> bytes:
            with self._client.models.with_streaming_response.list(timeout=seconds) as response:
                return _read(response.iter_bytes(), deadline)

        try:
            listed = msgspec.json.decode(self._within(seconds, exchange), type=_Models)
        except (RequestFailed, msgspec.MsgspecError, ValueError, RecursionError):
            return None
        found = next((m for m in listed.data if m.id == self._model), None)
        if found is None:
            return None
        return found.max_model_len or (found.meta.n_ctx_train if found.meta else None)

    def _within(self, seconds: float, exchange: Callable[[float], bytes]) -> bytes:
        """Run an exchange in a thread, because a server can dodge every timeout of a socket."""
        outcome: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
        deadline = time.monotonic() + seconds

        def run() -> None:
            try:
                outcome.put(exchange(deadline))
            except Exception as error:  # noqa: BLE001  (the HTTP library differs among SDK versions)
                outcome.put(error)

        threading.Thread(target=run, daemon=True).start()
        try:
            found = outcome.get(timeout=seconds + 1.0)
        except queue.Empty:
            raise RequestFailed(Trouble.SLOW, f"nothing within {seconds:.0f} s") from None
        if isinstance(found, Exception):
            raise self._failure(found) from None  # the cause may hold the key
        return found

    def _failure(self, error: Exception) -> RequestFailed:
        import openai  # noqa: PLC0415

        match error:
            case RequestFailed():
                return error
            case openai.APIStatusError(status_code=status):
                trouble = Trouble.REJECTED
                if status in _BUSY or status >= 500:
                    trouble = Trouble.BUSY
                detail = f"HTTP {status}: {self._redacted(error.message)}"
                wait = _seconds(error.response.headers.get("retry-after"))
                parameter = error.param if isinstance(error.param, str) else None
                return RequestFailed(trouble, detail, parameter=parameter, wait=wait)
            case openai.APITimeoutError():
                return RequestFailed(Trouble.SLOW, "the connection timed out")
            case openai.APIConnectionError():
                cause = error.__cause__
                trouble = Trouble.UNREACHABLE if _is_refusal(cause) else Trouble.BROKEN_OFF
                return RequestFailed(trouble, self._redacted(str(cause or error)))
        text = f"{type(error).__name__}: {error}"
        return RequestFailed(Trouble.BROKEN_OFF, self._redacted(text))

    def _redacted(self, text: str) -> str:
        """Text of a server, which may echo the key.

        A short one, such as `none` for a server that wants any, hides nothing and may be a word.
        """
        if self._key is None or len(self._key) < KEY_LENGTH:
            return text
        return text.replace(self._key, REDACTED)


def read_completion(body: bytes, redacted: Callable[[str], str] = str) -> Completion:
    """The replies in the body of an answer.

    Args:
        body: JSON, as the server sent it.
        redacted: Cuts out of a text what must not be kept.

    Raises:
        RequestFailed: It holds none.
    """
    try:
        decoded = msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RequestFailed(Trouble.MALFORMED, redacted(str(error))) from None
    replies = tuple(
        Reply(redacted(choice.message.content or ""), choice.finish_reason or "stop")
        for choice in decoded.choices
    )
    if not replies:
        raise RequestFailed(Trouble.MALFORMED, "it holds no choices")
    return Completion(replies, _usage(decoded.usage))


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice]
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Meta(msgspec.Struct):
    n_ctx_train: int | None = None


class _Model(msgspec.Struct):
    id: str
    max_model_len: int | None = None
    """Of vLLM."""
    meta: _Meta | None = None
    """Of llama.cpp."""


class _Models(msgspec.Struct):
    data: list[_Model]


def _client(options: ModelOptions, key: str | None) -> openai.OpenAI:
    try:
        import openai  # noqa: PLC0415
    except ImportError as error:
        raise EnvironmentError_(
            "the drafter openai needs the openai package; python -m pip install 'outpace[llm]'"
        ) from error
    # Proxies of the environment are for servers elsewhere. Retries are counted by whoever pays.
    http = openai.DefaultHttpxClient(trust_env=not options.is_local)
    return openai.OpenAI(
        base_url=options.base_url, api_key=key or _NO_KEY, max_retries=0, http_client=http
    )


def _read(chunks: Any, deadline: float) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MOST_BYTES:
            raise RequestFailed(Trouble.MALFORMED, f"it is longer than {MOST_BYTES >> 20} MiB")
        if time.monotonic() > deadline:
            raise RequestFailed(Trouble.SLOW, "the answer trickles in")
    return bytes(body)


def _usage(raw: msgspec.Raw) -> Usage | None:
    """Token counts; None where they are missing or make no sense."""
    try:
        found = msgspec.json.decode(raw, type=_Usage)
    except (msgspec.MsgspecError, ValueError):
        return None
    if found.prompt_tokens < 0 or found.completion_tokens < 0:
        return None
    return Usage(found.prompt_tokens, found.completion_tokens)


def _seconds(header: str | None) -> float | None:
    """A `Retry-After` in seconds; dates are left to the usual wait."""
    return float(header) if header is not None and header.isdecimal() else None


def _is_refusal(error: BaseException | None) -> bool:
    """Whether no connection was made, so that nothing can have been charged."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError) or type(error).__name__ == "ConnectError":
            return True
        error = error.__cause__ or error.__context__
    return False
