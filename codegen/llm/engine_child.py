"""vLLM in a process of its own: `python -m outpace.codegen.llm.engine_child`, spoken to by pipes.

Only this module imports vLLM. The process ends with its input: at once where it has nothing to do,
else after a while and with everything that it has started.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from typing import Any

import msgspec

from outpace.codegen.llm.engine_messages import Answered, Ask, Failed, Ready, Refused, Said, Setup
from outpace.codegen.llm.exchange import Reply, Usage

_PATIENCE = 25.0
"""Seconds in which the process may end by itself once nobody listens."""
_CHUNK = 1 << 16


def main() -> None:
    """Load the model that the first line names, then answer one request a line."""
    answers = _take_over(1, 2)
    null = os.open(os.devnull, os.O_RDONLY)
    lines = _incoming(_take_over(0, null))
    first = lines.get()
    if first is None:
        return
    try:
        engine = _Engine(msgspec.json.decode(first, type=Setup))
    except Exception as error:  # noqa: BLE001  (vLLM, torch and drivers fail in every way)
        _say(answers, Failed(_reason(error)))
        return
    _say(answers, Ready(engine.context))
    while (line := lines.get()) is not None:
        said = engine.answer(msgspec.json.decode(line, type=Ask))
        _say(answers, said)
        if isinstance(said, Failed):
            return


class _Engine:
    """A loaded model.

    Attributes:
        context: Tokens that prompt and reply may have together.
    """

    def __init__(self, setup: Setup) -> None:
        import vllm  # noqa: PLC0415  (takes seconds, and must be able to fail with a word)

        self._model = vllm.LLM(model=setup.folder, **setup.arguments)
        self.context = int(self._model.model_config.max_model_len)

    def answer(self, ask: Ask) -> Answered | Refused | Failed:
        """The replies, each cut off where the context ends."""
        messages = [{"role": m.role, "content": m.content} for m in ask.prompt]
        try:
            found = self._model.chat(messages, self._sampling(ask), use_tqdm=False)[0]
        except ValueError as error:  # by which vLLM refuses a prompt or a form
            return Refused(_reason(error))
        except Exception as error:  # noqa: BLE001  (as above)
            return Failed(_reason(error))
        written = sum(len(output.token_ids) for output in found.outputs)
        return Answered(
            tuple(Reply(o.text, o.finish_reason or "stop") for o in found.outputs),
            Usage(len(found.prompt_token_ids), written),
        )

    def _sampling(self, ask: Ask) -> Any:
        """As the server samples: by the model's own defaults where the request says nothing."""
        from vllm.sampling_params import StructuredOutputsParams  # noqa: PLC0415

        return msgspec.structs.replace(
            self._model.get_default_sampling_params(),
            n=ask.samples,
            max_tokens=ask.reply_tokens,
            temperature=ask.temperature,
            seed=ask.seed,
            structured_outputs=StructuredOutputsParams(**ask.form) if ask.form else None,
        )


def _take_over(descriptor: int, instead: int) -> int:
    """Another descriptor of a pipe, whose place is taken, so that no library uses the pipe."""
    kept = os.dup(descriptor)
    os.dup2(instead, descriptor)
    return kept


def _incoming(descriptor: int) -> queue.SimpleQueue[bytes | None]:
    """The lines that arrive, and None when there will be no more."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        pending = b""
        # No buffered file: vLLM forks, and must not inherit the lock of one that is being read.
        while chunk := os.read(descriptor, _CHUNK):
            *complete, pending = (pending + chunk).split(b"\n")
            for line in complete:
                lines.put(line)
        lines.put(None)
        time.sleep(_PATIENCE)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _say(descriptor: int, said: Said) -> None:
    line = msgspec.json.encode(said) + b"\n"
    while line:
        line = line[os.write(descriptor, line) :]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
