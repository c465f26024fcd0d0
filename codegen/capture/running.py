"""Running a script under watch, and choosing what to make references of."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from outpace.codegen.capture.proposal import Proposal, propose
from outpace.codegen.capture.reading import Obstacle
from outpace.codegen.capture.watching import Seen
from outpace.codegen.capture.writing import Module
from outpace.errors import UsageError

HOT = 5.0
"""Percent of the time from which on a function is worth a word."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        seen: The user's own functions, those with most time of their own first.
        status: What the script would have returned to the shell.
        problem: What kept the watch from seeing all of it, or None.
    """

    seen: tuple[Seen, ...]
    status: int
    problem: str | None

    @property
    def seconds(self) -> float:
        """Time in the user's own functions and in what they call."""
        return sum(seen.own for seen in self.seen)


@dataclass(frozen=True)
class Refused:
    """A hot function that is no reference as it stands."""

    seen: Seen
    why: str


def run_script(script: Path, arguments: Sequence[str]) -> Run:
    """Run a script as Python would, in a process of its own, and watch it.

    Args:
        script: Its file.
        arguments: What it finds in `sys.argv`.

    Raises:
        UsageError: There is no such file, or it ended in a way that nothing was seen.
    """
    if not script.is_file():
        raise UsageError(f"no such file: {script}")
    with tempfile.TemporaryDirectory(prefix="outpace-init-") as folder:
        out = Path(folder) / "seen"
        command = [sys.executable, "-P", "-m", "outpace.codegen.capture.child", str(out)]
        done = subprocess.run([*command, str(script), *arguments], check=False)
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        if not out.exists():
            raise _ended(script, status, "before it could be seen to the end")
        # Our own process wrote it into a folder that only this user can write to.
        seen, problem = pickle.loads(out.read_bytes())  # noqa: S301
    if status:
        raise _ended(script, status, "so nothing was proposed")
    return Run(tuple(sorted(seen, key=lambda s: -s.own)), status, problem)


def _ended(script: Path, status: int, what: str) -> UsageError:
    """The failure of a script, with its own exit status."""
    error = UsageError(f"{script} ended with exit status {status}, {what}")
    error.exit_code = status or error.exit_code
    return error


def choose(
    run: Run,
    script: Path,
    fault: Callable[[Proposal], str | None],
    *,
    max_bytes: int,
    least: float = HOT,
) -> tuple[Module, list[Refused]]:
    """References for the hot functions, and what stands in the way of the others.

    A function is hot if it takes at least a share of the time: with what it calls where it can be a
    reference, else without the user's other functions. What a reference calls is part of it and
    gets none of its own.

    Args:
        run: What was seen.
        script: The script.
        fault: Why a proposal does not hold, or None if it does.
        max_bytes: Size of the recording of each function.
        least: That share, in percent.
    """
    seconds = least / 100 * run.seconds
    module, refused = Module(script.resolve()), []
    for seen in sorted(run.seen, key=lambda s: -s.total):
        if seen.total < seconds or module.covers(seen):
            continue
        try:
            proposal = propose(seen, max_bytes)
            module.refuse_conflict(proposal)
            why = fault(proposal)
        except Obstacle as obstacle:
            why = str(obstacle)
        else:
            if why is None:
                module.add(proposal)
        if why is not None and seen.own >= seconds:
            refused.append(Refused(seen, why))
    return module, refused
