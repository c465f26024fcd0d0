"""Run a program in simulation with several numbers of ranks and seeds, each in a fresh process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from outpace.errors import UsageError
from outpace.tuner.simcomm.records import FaultRecord, Reply, RunRequest

GRACE = 10.0
"""Seconds beyond the limit for a process to start and to say that it gave up."""
_GLANCE = 0.2
"""Seconds after which whoever waits looks for signals."""


class Verdict(StrEnum):
    """What is known about a program after a run."""

    OK = "ok"
    FAULT = "fault"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Question:
    """What to check.

    Attributes:
        program: File of an mpi4py program.
        args: Its arguments.
        ranks: Numbers of ranks to run it with.
        seeds: How many orders to try with each.
        eager_bytes: Sends shorter than this need no receiver.
        seconds: Real time that one run may take.
        show_output: Whether to let what the ranks print through to stdout.
    """

    program: Path
    args: tuple[str, ...]
    ranks: tuple[int, ...]
    seeds: int
    eager_bytes: int
    seconds: float
    show_output: bool


@dataclass(frozen=True)
class Run:
    """How one run ended.

    Attributes:
        ranks: Their number.
        seed: Of the order.
        reply: What was found.
    """

    ranks: int
    seed: int
    reply: Reply

    @property
    def verdict(self) -> Verdict:
        """Of this run alone."""
        fault = self.reply.fault
        if fault is None:
            return Verdict.OK
        return Verdict.FAULT if fault.decides else Verdict.UNDECIDED


def check_program(question: Question) -> list[Run]:
    """Run as asked; with each number of ranks up to the first seed that shows a fault.

    Raises:
        UsageError: The program cannot be read.
    """
    processes = _Processes()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        try:
            several = [pool.submit(_orders, question, ranks, processes) for ranks in question.ranks]
            return [run for future in several for run in _awaited(future)]
        except BaseException:  # Ctrl-C too: do not wait for what nobody will read
            pool.shutdown(wait=False, cancel_futures=True)
            processes.end_all()
            raise


def _awaited(future: Future[list[Run]]) -> list[Run]:
    """Its result. A signal that comes just before a thread begins to wait would not wake it."""
    while not wait([future], _GLANCE).done:
        pass
    return future.result()


def verdict_of(runs: Sequence[Run]) -> Verdict:
    """Over all runs: one fault is a fault, and otherwise all must have been decided."""
    verdicts = {run.verdict for run in runs}
    if Verdict.FAULT in verdicts:
        return Verdict.FAULT
    return Verdict.OK if verdicts == {Verdict.OK} else Verdict.UNDECIDED


def _orders(question: Question, ranks: int, processes: _Processes) -> list[Run]:
    runs = []
    for seed in range(question.seeds):
        runs.append(Run(ranks, seed, _run(question, ranks, seed, processes)))
        if runs[-1].verdict is not Verdict.OK:
            break
    return runs


def _run(question: Question, ranks: int, seed: int, processes: _Processes) -> Reply:
    request = RunRequest(
        str(question.program),
        list(question.args),
        ranks,
        seed,
        question.eager_bytes,
        question.seconds,
        question.show_output,
    )
    with tempfile.TemporaryDirectory(prefix="outpace-mpi-check-") as folder:
        asked, answered = Path(folder, "request.json"), Path(folder, "reply.json")
        asked.write_bytes(msgspec.json.encode(request))
        ended = _process(asked, answered, question, processes)
        if not answered.exists():
            return Reply(fault=_without_reply(ended, question.seconds))
        reply = msgspec.json.decode(answered.read_bytes(), type=Reply)
    if reply.unusable is not None:
        raise UsageError(reply.unusable)
    if reply.bug is not None:
        raise RuntimeError(reply.bug)
    return reply


def _process(asked: Path, answered: Path, question: Question, processes: _Processes) -> int | None:
    """The exit status of the process that runs the simulation; None where it had to be killed.

    While it runs it is among `processes`.
    """
    module = "outpace.tuner.simcomm.child"
    # -P: the current folder is not the program's, and must not hide other modules from it.
    command = [sys.executable, "-P", "-m", module, str(asked), str(answered)]
    printed = None if question.show_output else subprocess.DEVNULL
    process = processes.start(command, printed)
    if process is None:
        return None
    try:
        return process.wait(question.seconds + GRACE)
    except subprocess.TimeoutExpired:
        return None
    finally:
        processes.end(process)


class _Processes:
    """Those that run; once all have been ended, no more are started."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._is_over = False

    def start(self, command: Sequence[str], printed: int | None) -> subprocess.Popen[bytes] | None:
        """A process in a session of its own; None if it is too late for one."""
        with self._lock:  # else one could start unseen while all others are ended
            if self._is_over:
                return None
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill it, and what the program may have started in its session."""
        with contextlib.suppress(ProcessLookupError):  # all have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with self._lock:
            self._running.discard(process)

    def end_all(self) -> None:
        """Kill all."""
        with self._lock:
            self._is_over = True
            running = tuple(self._running)
        for process in running:
            self.end(process)


def _without_reply(status: int | None, seconds: float) -> FaultRecord:
    if status is None:
        return FaultRecord("LimitReached", False, f"not done after {seconds:g} s, and was killed")
    how = f"status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
    return FaultRecord("RankFailed", True, f"the program ended its whole process with {how}")
