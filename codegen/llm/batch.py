"""Requests and replies as files, in the batch format of OpenAI, for queues without a server.

A request is a line of JSON with `custom_id`, `method`, `url` and `body`; an answer is one with the
same `custom_id`, a `response` (`status_code`, `body`) and an `error`. The batch API of OpenAI and
vLLM's `run_batch` read the one and write the other. Answers come in any order, and some not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from outpace.codec import Value, content_hash
from outpace.codegen.feedback import clean
from outpace.codegen.llm.exchange import ChatMessage
from outpace.codegen.llm.options import ModelOptions
from outpace.codegen.llm.transport import Completion, RequestFailed, Trouble, read_completion
from outpace.errors import UsageError

URL = "/v1/chat/completions"
_OK = 200
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Question:
    """A prompt that asks for one reply, and the place of the exchange that this will be."""

    place: str
    prompt: tuple[ChatMessage, ...]


class BatchRequest(Value, frozen=True):
    """One line of requests, for one reply.

    Attributes:
        place: Round, lineage and sample, such as `0/2/1`: the place of the exchange.
        prompt: The messages.
        reply_tokens: Most tokens of the reply, reasoning included.
    """

    place: str
    prompt: tuple[ChatMessage, ...]
    reply_tokens: int

    @property
    def custom_id(self) -> str:
        """What binds an answer to this prompt at this place; under 64 characters."""
        where = self.place.replace("/", "-")
        return f"outpace-{where}-{content_hash([self.place, self.prompt])}"

    def line(self, options: ModelOptions) -> bytes:
        """The line of JSON, without a newline; it holds no key."""
        body = {
            "model": options.model,
            "messages": [{"role": m.role, "content": m.content} for m in self.prompt],
            # `max_tokens` is rejected by newer models of OpenAI; a batch cannot try both.
            "max_completion_tokens": self.reply_tokens,
            "temperature": options.temperature,
        }
        return msgspec.json.encode(
            {"custom_id": self.custom_id, "method": "POST", "url": URL, "body": body}
        )


@dataclass(frozen=True)
class BatchResults:
    """What a file of answers holds.

    Attributes:
        completions: By the `custom_id` of the request.
        failures: Of answered requests without a reply, likewise.
        notes: One sentence for a person about each line that was passed over, and each request
            that has no answer.
    """

    completions: dict[str, Completion] = field(default_factory=dict)
    failures: dict[str, RequestFailed] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_results(path: Path, requests: Sequence[BatchRequest]) -> BatchResults:
    """Read the answers to these requests.

    Of several answers to one request the first good one counts.

    Raises:
        UsageError: The file cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"the results {path} cannot be read: {error.strerror or error}") from error
    results = BatchResults()
    known = {request.custom_id for request in requests}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            _take(line, f"{path.name}, line {number}", known, results)
    for name, failure in results.failures.items():
        results.notes.append(f"{name} brought no reply: {failure}")
    for name in _unanswered(requests, results):
        results.notes.append(f"{name} has no answer in {path.name}")
    return results


class _Response(msgspec.Struct):
    status_code: int = _OK
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Error(msgspec.Struct):
    """OpenAI puts the message here, vLLM one level deeper."""

    message: str | None = None
    error: _Error | None = None


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


def _take(line: bytes, where: str, known: set[str], results: BatchResults) -> None:
    try:
        answer = msgspec.json.decode(line, type=_Line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        reason = clean(str(error), _LONGEST_REASON)
        results.notes.append(f"{where} is no answer of a batch and was left out: {reason}")
        return
    name = answer.custom_id
    if name not in known:
        shown = clean(name, _LONGEST_REASON)
        results.notes.append(f"{where} answers {shown!r}, which was not asked; it was left out")
    elif name in results.completions:
        results.notes.append(f"{where} answers {name} again; it was left out")
    else:
        try:
            results.completions[name] = _completion(answer)
            results.failures.pop(name, None)
        except RequestFailed as failure:
            results.failures[name] = failure


def _completion(answer: _Line) -> Completion:
    """The one reply of an answer; raises RequestFailed where there is none."""
    response, error = answer.response, bytes(answer.error)
    if error != b"null" or response is None:
        text = "it has neither response nor error" if error == b"null" else _text(error)
        raise RequestFailed(Trouble.REJECTED, text)
    if response.status_code != _OK:
        detail = f"HTTP {response.status_code}: {_text(bytes(response.body))}"
        raise RequestFailed(Trouble.REJECTED, detail)
    completion = read_completion(bytes(response.body))
    return Completion(completion.replies[:1], completion.usage)


def _text(raw: bytes) -> str:
    """The message of an error, or all of it."""
    try:
        found: _Error | None = msgspec.json.decode(raw, type=_Error)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = None
    while found is not None:
        if found.message is not None:
            return found.message
        found = found.error
    return raw.decode(errors="replace")


def _unanswered(requests: Iterable[BatchRequest], results: BatchResults) -> list[str]:
    names = (request.custom_id for request in requests)
    return [n for n in names if n not in results.completions and n not in results.failures]
