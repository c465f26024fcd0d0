"""Lines of JSON between the judge and the processes of ranks, each awaited for a limited time."""

from __future__ import annotations

import json
import os
import select
import time
from pathlib import Path
from typing import Any

import msgspec

_LONGEST = 1 << 20
"""Bytes of an answer that are read at most; it is made where a draft runs."""


class Error(msgspec.Struct, frozen=True):
    """What a draft has raised; fields as `outpace.tuner.failures.classify` takes them.

    Attributes:
        line: Of the draft, the last one on the stack; None where the draft is not on it.
        rank: Which raised it, if one process runs them all.
    """

    kind: str
    text: str
    where: str
    errno: int | None = None
    line: int | None = None
    rank: int = 0

    @property
    def place(self) -> str:
        """Where in the draft, to follow a sentence."""
        return "" if self.line is None else f", in line {self.line} of the draft"


class Answer(msgspec.Struct, frozen=True):
    """One answer, of which a draft may have written anything: what is no such line is refused.

    Attributes:
        grade: Isolation, in the first answer.
        size: Number of ranks that MPI has started, there too.
        pid: What the process of the rank is called where it runs, there too.
        error: What the draft has raised.
        fault: Name of what a simulation has found, with `text` and what every rank waited for.
        nonces: What the ranks were given to hand back; None from one that did not come back.
        received: Bytes that each rank received.
        seconds: CPU time that each rank spent.
    """

    grade: str = "D"
    size: int = 0
    pid: int = 0
    error: Error | None = None
    fault: str | None = None
    text: str = ""
    waiting: tuple[str, ...] = ()
    nonces: tuple[str | None, ...] = ()
    received: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()


class Closed(Exception):  # noqa: N818  (an outcome: the other side has ended)
    """The other side has closed the channel, or said what is no answer."""


class Channel:
    """The judge's side: one pipe each way.

    Attributes:
        theirs: Descriptors of the other side that are still held here.
    """

    def __init__(self, commands: int, replies: int, theirs: tuple[int, ...]) -> None:
        self._commands = commands
        self._replies = replies
        self.theirs = theirs
        self._buffer = b""
        os.set_blocking(commands, False)
        os.set_blocking(replies, False)

    @classmethod
    def inherited(cls) -> Channel:
        """For a child process, which inherits where it reads and where it writes, in this order."""
        read, commands = os.pipe()
        replies, write = os.pipe()
        return cls(commands, replies, (read, write))

    @classmethod
    def named(cls, commands: Path, replies: Path) -> Channel:
        """For a process that opens these two new pipes by their names; see `Line.named`."""
        os.mkfifo(commands, 0o600)
        os.mkfifo(replies, 0o600)
        # Both ways, so that it does not wait for a reader.
        sending = os.open(commands, os.O_RDWR | os.O_CLOEXEC)
        receiving = os.open(replies, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return cls(sending, receiving, (os.open(replies, os.O_WRONLY | os.O_CLOEXEC),))

    @property
    def descriptor(self) -> int:
        """What becomes readable when there is an answer, or an end."""
        return self._replies

    def hand_over(self) -> None:
        """Close the other side's ends here, so that its end is seen."""
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = ()

    def send(self, message: dict[str, Any]) -> None:
        """Write one message; nobody may be there to read it, which shows at the next answer."""
        data = json.dumps(message).encode() + b"\n"
        wait = select.poll()
        wait.register(self._commands, select.POLLOUT)
        try:
            while data and wait.poll(10_000):
                data = data[os.write(self._commands, data) :]
        except (BrokenPipeError, BlockingIOError):
            return

    def receive(self) -> Answer | None:
        """An answer that has arrived, or None.

        Raises:
            Closed: There will be none.
        """
        while b"\n" not in self._buffer:
            try:
                part = os.read(self._replies, 1 << 16)
            except BlockingIOError:
                return None
            if not part:
                raise Closed("it ended without an answer")
            self._buffer += part
            if len(self._buffer) > _LONGEST:
                raise Closed("its answer has no end")
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            return msgspec.json.decode(line, type=Answer)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise Closed("its answer cannot be read") from None

    def await_answer(self, limit: float) -> Answer:
        """The next answer.

        Raises:
            Closed: There will be none.
            TimeoutError: There is none after so many seconds.
        """
        deadline = time.monotonic() + limit
        while True:
            answer = self.receive()
            if answer is not None:
                return answer
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            select.select([self._replies], [], [], left)

    def close(self) -> None:
        """Close every end that is held here."""
        for descriptor in (*self.theirs, self._commands, self._replies):
            os.close(descriptor)
        self.theirs = ()


class Line:
    """The other side of a channel."""

    def __init__(self, read: int, write: int) -> None:
        self._read = read
        self._write = write
        self._buffer = b""

    @classmethod
    def named(cls, commands: Path, replies: Path) -> Line:
        """Open what `Channel.named` has made."""
        return cls(os.open(commands, os.O_RDONLY), os.open(replies, os.O_WRONLY))

    def send(self, message: dict[str, Any]) -> None:
        """Write one message."""
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._write, data) :]

    def receive(self) -> dict[str, Any] | None:
        """The next message; None when the judge has closed the channel."""
        while b"\n" not in self._buffer:
            part = os.read(self._read, 1 << 16)
            if not part:
                return None
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message
