"""The drafter's side of an engine's process: start it, exchange lines with it in time, end it all.

It has a session of its own, so that it can be ended with everything that it has started, and so
that Ctrl-C reaches it through the drafter alone.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from outpace import environment
from outpace.codegen.feedback import clean
from outpace.errors import EnvironmentError_, StorageError

MOST_BYTES = 32 << 20
"""Of one line; what is longer is no list of kernels."""
PATIENCE = 30.0
"""Seconds in which an idle engine may end by itself and give back shared memory."""
_KILL_SECONDS = 10.0
_LOOK_SECONDS = 0.01
_TICK = 0.25
"""Seconds between looks at whether the process lives: what it started may hold its pipes open."""
_CHUNK = 1 << 16
_TAIL_BYTES, _TAIL_LETTERS = 4096, 200


class Gone(Exception):  # noqa: N818  (an outcome, not a fault)
    """The process has ended; the text says how."""


class Overdue(Exception):  # noqa: N818  (an outcome, not a fault)
    """No line came in time."""


class TooLong(Exception):  # noqa: N818  (an outcome, not a fault)
    """A line does not end."""


class EngineProcess:
    """A process that is spoken to in lines, through its standard input and output.

    Args:
        command: Program and arguments.
        log: File for what it prints elsewhere; replaced.

    Raises:
        StorageError: The file cannot be written.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            output = log.open("wb")
        except OSError as error:
            raise StorageError(f"{log} cannot be written: {error}") from error
        with output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environment.engine_variables(),
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self._commands.fileno(), False)

    def exchange(self, line: bytes, seconds: float) -> bytes:
        """Say one line and wait for the next that comes back.

        Args:
            line: Without its end.
            seconds: For both together.

        Raises:
            Gone: The process has ended.
            Overdue: The time is over.
            TooLong: The line that comes back is longer than `MOST_BYTES`.
        """
        deadline = time.monotonic() + seconds
        self._write(line + b"\n", deadline)
        return self._read(deadline)

    def end(self, *, patience: float) -> None:
        """End it and all that it has started; does nothing to what has ended.

        Args:
            patience: Seconds in which it may end by itself; 0 for one that is busy or hangs.

        Raises:
            EnvironmentError_: The kernel does not let it end; nothing must be timed beside it.
        """
        members = self._family()
        with suppress(OSError):
            self._commands.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        members += self._family()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        alive = _left_after(members, _KILL_SECONDS)
        self._answers.close()
        if alive:
            raise EnvironmentError_(
                f"process {alive[0].pid} of vLLM cannot be ended, and nothing can be timed beside "
                "it; end it, then go on with the same command"
            )
        self._process.wait()

    def _family(self) -> list[psutil.Process]:
        """The process and all that it has started; nothing once it has been waited for."""
        try:
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _write(self, data: bytes, deadline: float) -> None:
        while data:
            self._wait_for(self._commands.fileno(), select.POLLOUT, deadline)
            try:
                data = data[os.write(self._commands.fileno(), data) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise Gone(self._last_words()) from None

    def _read(self, deadline: float) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            self._wait_for(self._answers.fileno(), select.POLLIN, deadline)
            chunk = os.read(self._answers.fileno(), _CHUNK)
            if not chunk:
                raise Gone(self._last_words())
            line += chunk
            if len(line) > MOST_BYTES:
                raise TooLong(f"it is longer than {MOST_BYTES >> 20} MiB")
        return bytes(line)

    def _wait_for(self, descriptor: int, event: int, deadline: float) -> None:
        waiting = select.poll()
        waiting.register(descriptor, event)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Overdue
            if waiting.poll(1000 * min(left, _TICK)):
                return
            if self._process.poll() is not None:
                raise Gone(self._last_words())

    def _last_words(self) -> str:
        """How it ended, and the last line that it printed."""
        with suppress(subprocess.TimeoutExpired):  # it may have closed its pipes and gone on
            self._process.wait(_TICK)
        code = self._process.returncode
        how = "it closed its pipe" if code is None else f"exit code {code}"
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
        printed = [line.strip() for line in lines if line.strip()]
        return f"{how}; {clean(printed[-1], _TAIL_LETTERS)}" if printed else how


def _left_after(members: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run after so long; a zombie has ended, whoever is to wait for it."""
    deadline = time.monotonic() + seconds
    while True:
        alive = [member for member in members if _runs(member)]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(_LOOK_SECONDS)


def _runs(member: psutil.Process) -> bool:
    try:
        return bool(member.is_running() and member.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
