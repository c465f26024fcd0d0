"""vLLM without a server: asked as a server is, in a process that runs only while it is needed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from outpace.codec import content_hash
from outpace.codegen.llm.engine_messages import Answered, Ask, Failed, Ready, Refused, Said, Setup
from outpace.codegen.llm.engine_process import PATIENCE, EngineProcess, Gone, Overdue, TooLong
from outpace.codegen.llm.options import EngineOptions
from outpace.codegen.llm.transport import ChatRequest, Completion, RequestFailed, Trouble
from outpace.errors import EnvironmentError_

COMMAND = (sys.executable, "-P", "-m", "outpace.codegen.llm.engine_child")
"""With -P no module of the current folder passes for one of vLLM's."""


def installed_engine(options: EngineOptions, log: Path) -> Engine:
    """An engine that has not started yet.

    Args:
        options: What to load, and how.
        log: File for what vLLM prints.

    Raises:
        EnvironmentError_: vLLM is not installed.
    """
    if importlib.util.find_spec("vllm") is None:
        raise EnvironmentError_(
            "the drafter vllm needs the vllm package; python -m pip install 'outpace[vllm]', or "
            "ask a server: --drafter openai --base-url URL"
        )
    return Engine(options, log)


class Engine:
    """Answers requests from the first one until `rest`, and again after that.

    Args:
        options: What to load, and how.
        log: File for what vLLM prints.
        command: Program that speaks as `engine_messages` says.

    Attributes:
        context: Tokens that prompt and reply may have together; None before the first start.
    """

    def __init__(self, options: EngineOptions, log: Path, command: Sequence[str] = COMMAND) -> None:
        self.context: int | None = None
        self._options = options
        self._log = log
        self._command = command
        self._process: EngineProcess | None = None
        self._requests = 0

    def send(self, request: ChatRequest, seconds: float) -> Completion:
        """Ask for completions and wait for them for so long, once the model is loaded.

        Raises:
            RequestFailed: There are none.
            StorageError: The log cannot be written.
            EnvironmentError_: The process hangs and cannot be ended.
        """
        ask = self._ask(request)
        try:
            if self._process is None:
                self._start()
            said = self._said(ask, seconds, Trouble.ENGINE_ENDED)
        except BaseException:
            self._end(patience=0.0)
            raise
        match said:
            case Answered() if said.replies:
                return Completion(said.replies, said.usage)
            case Refused():
                raise RequestFailed(Trouble.REJECTED, said.reason)
            case Failed():
                trouble, detail = Trouble.ENGINE_ENDED, said.reason
            case _:
                trouble, detail = Trouble.MALFORMED, "it holds no replies"
        self._end(patience=0.0)
        raise self._failure(trouble, detail)

    def rest(self) -> None:
        """Free what the engine holds of the machine, until it is asked again.

        Raises:
            EnvironmentError_: Its process cannot be ended.
        """
        self._end(patience=PATIENCE)

    def _start(self) -> None:
        setup = Setup(str(self._options.folder.resolve()), dict(self._options.arguments))
        self._process = EngineProcess(self._command, self._log)
        said = self._said(setup, self._options.start_seconds, Trouble.NO_ENGINE)
        if not isinstance(said, Ready):
            reason = said.reason if isinstance(said, Failed) else "it is not ready"
            raise self._failure(Trouble.NO_ENGINE, reason)
        self.context = said.context

    def _end(self, *, patience: float) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.end(patience=patience)

    def _ask(self, request: ChatRequest) -> Ask:
        """The request in the engine's words; other seeds for a prompt that is sent again."""
        if set(request.extra) - {"structured_outputs"}:
            raise RequestFailed(Trouble.REJECTED, "vLLM has no such parameter")
        self._requests += 1
        return Ask(
            request.prompt,
            request.parameters.get("n", 1),
            request.parameters["max_tokens"],
            request.parameters["temperature"],
            int(content_hash([request.prompt, self._requests])[:8], 16),
            request.extra.get("structured_outputs"),
        )

    def _said(self, message: Setup | Ask, seconds: float, ended: Trouble) -> Said:
        assert self._process is not None
        try:
            line = self._process.exchange(msgspec.json.encode(message), seconds)
            said: Said = msgspec.json.decode(line, type=Said)
        except Gone as gone:
            raise self._failure(ended, str(gone)) from None
        except Overdue:
            late = Trouble.SLOW if ended is Trouble.ENGINE_ENDED else ended
            raise self._failure(late, f"nothing within {seconds:.0f} s") from None
        except (TooLong, msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self._failure(Trouble.MALFORMED, str(error)) from None
        return said

    def _failure(self, trouble: Trouble, detail: str) -> RequestFailed:
        return RequestFailed(trouble, f"{detail} (vLLM's output is in {self._log})")
