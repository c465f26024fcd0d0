"""What the runtime of the simulated GPU reports, as a failure with a sentence for a person."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np

from outpace.model import Grade, Status
from outpace.tuner.process import Failure
from outpace.tuner.simgpu.source import NAME

_ADDR2LINE_SECONDS = 20.0
_DEEPEST = 8
_REMARK = "undefined-lane"


@dataclass(frozen=True)
class Shape:
    """What is needed to name an element of global memory."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Finding:
    """One line of the runtime's report.

    Attributes:
        report: Its fields; `kind` says what it is.
        program: The executable, which knows its lines.
        arrays: Global memory by name.
    """

    report: Mapping[str, Any]
    program: Path
    arrays: Mapping[str, Shape]

    def failure(self, grade: Grade) -> Failure:
        """The status and the sentence; a kind that is not known is a crash."""
        status, _ = _KINDS.get(str(self.report.get("kind")), (Status.CRASHED, _unknown))
        return Failure(status, self.sentence, grade=grade)

    @property
    def is_remark(self) -> bool:
        """Whether it is none by itself, but explains results that are wrong."""
        return self.report.get("kind") == _REMARK

    @property
    def sentence(self) -> str:
        """What was found, for a person."""
        return _KINDS.get(str(self.report.get("kind")), (Status.CRASHED, _unknown))[1](self)

    def text(self, name: str) -> str:
        """A field as text."""
        return str(self.report.get(name, ""))

    def number(self, name: str) -> int:
        """A field as a number."""
        return int(self.report.get(name, 0))

    @property
    def where(self) -> str:
        """The thread in which it was found."""
        if "thread" not in self.report:
            return "no thread"
        return f"{_thread(self.report['thread'])} of block {_triple(self.report['block'])}"

    @property
    def element(self) -> str:
        """The memory that was accessed: an element, or a byte of a shared variable."""
        name, offset = self.text("memory"), self.number("offset")
        known = self.arrays.get(name)
        if known is None:
            return f"`{name}` at byte {offset}" if name else "memory that nothing is in"
        position = offset // np.dtype(known.dtype).itemsize
        if not 0 <= position < prod(known.shape):
            return f"`{name}`, of shape {known.shape}, at element {position}"
        index = np.unravel_index(position, known.shape)
        return f"`{name}[{', '.join(map(str, map(int, index)))}]`"

    def at(self, field: str) -> str:
        """` at line 7`, of an access by its address in the program; empty if it is not known."""
        line = _line_of(self.program, self.number(field)) if self.report.get(field) else None
        return "" if line is None else f" at line {line}"


# --- sentences ----------------------------------------------------------------------------------


def _race(found: Finding) -> str:
    first, second = found.text("first"), found.text("second")
    if "first_thread" in found.report:
        other = f"{_thread(found.report['first_thread'])} of the same block"
        between = "no barrier between them"
    else:
        other, between = "a thread of another block", "nothing orders blocks of one launch"
    kind = "shared memory" if found.number("shared") else "global memory"
    return (
        f"a race on {found.element} in {kind}: {found.where} {_DOES[second]} it"
        f"{found.at('second_code')}, {other} {_DOES[first]} it{found.at('first_code')}; {between}"
    )


def _bounds(found: Finding) -> str:
    does = _DOES[found.text("second")]
    return f"{found.where} {does} {found.element}, out of bounds{found.at('second_code')}"


def _read_only(found: Finding) -> str:
    return f"{found.where} writes to the input {found.element}{found.at('second_code')}"


def _alignment(found: Finding) -> str:
    size, does = found.number("bytes"), _DOES[found.text("second")]
    return (
        f"{found.where} {does} {size} bytes of {found.element}, an address that is not a multiple "
        f"of {size}{found.at('second_code')}"
    )


def _stack(_: Finding) -> str:
    return "a thread uses more stack than there is: endless recursion, or very large local arrays"


def _undefined(found: Finding) -> str:
    return f"{found.where}: {found.text('what')}, at line {found.number('line')}"


def _assertion(found: Finding) -> str:
    return f"{found.where}: the assertion {found.text('text')} does not hold"


def _divergence(found: Finding) -> str:
    waits = f"{found.where} waits in a barrier at line {found.number('line')}"
    if "other" not in found.report:
        return f"barrier divergence: {waits} for ever"
    other = _thread(found.report["other"])
    line = found.number("other_line")
    does = f"waits at line {line}" if line else "has ended"
    return f"barrier divergence: {waits}, {other} {does}"


def _lanes(found: Finding) -> str:
    return (
        f"{found.where} waits in {found.text('operation')} at line {found.number('line')} for lane "
        f"{found.number('lane')}, which the mask names and which takes no part"
    )


def _shuffle(found: Finding) -> str:
    return (
        f"{found.where} reads the value of lane {found.number('lane')} in a shuffle at line "
        f"{found.number('line')}; that lane takes no part or has ended"
    )


def _own_lane(found: Finding) -> str:
    return (
        f"{found.where} calls {found.text('operation')} at line {found.number('line')} with a mask "
        "that does not name its own lane"
    )


def _shared_limit(found: Finding) -> str:
    return (
        f"{found.text('kernel')} has {found.number('static')} bytes of static and "
        f"{found.number('dynamic')} of dynamic shared memory; a block may have 49152 static and "
        "232448 in all"
    )


def _threads(found: Finding) -> str:
    return (
        f"{found.text('kernel')} is launched with {found.number('threads')} threads a block; it "
        f"declares `__launch_bounds__({found.number('most')})`"
    )


def _memory(found: Finding) -> str:
    return f"asked for more memory than it may have: {found.number('bytes')} bytes"


def _signal(found: Finding) -> str:
    number, address = found.number("number"), found.number("address")
    return f"{found.where} dies of signal {number} at address {address:#x}"


def _unknown(found: Finding) -> str:
    return f"the simulation ended: {found.text('kind')}"


_DOES = {"read": "reads", "write": "writes", "atomic": "changes atomically"}
_KINDS: dict[str, tuple[Status, Callable[[Finding], str]]] = {
    "race": (Status.WRONG, _race),
    "bounds": (Status.CRASHED, _bounds),
    "read-only": (Status.CRASHED, _read_only),
    "alignment": (Status.CRASHED, _alignment),
    "stack": (Status.CRASHED, _stack),
    "undefined": (Status.CRASHED, _undefined),
    "assertion": (Status.CRASHED, _assertion),
    "divergence": (Status.CRASHED, _divergence),
    "lanes": (Status.CRASHED, _lanes),
    "shuffle": (Status.CRASHED, _shuffle),
    _REMARK: (Status.WRONG, _shuffle),
    "own-lane": (Status.CRASHED, _own_lane),
    "shared": (Status.OVER_LIMIT, _shared_limit),
    "threads": (Status.OVER_LIMIT, _threads),
    "memory": (Status.OVER_LIMIT, _memory),
    "signal": (Status.CRASHED, _signal),
}


def _thread(index: list[int]) -> str:
    return f"thread {_triple(index)}"


def _triple(index: list[int]) -> str:
    return f"({', '.join(map(str, index))})"


# --- lines --------------------------------------------------------------------------------------


def _line_of(program: Path, code: int) -> int | None:
    """The line of the draft's file that an address belongs to; None where nothing can tell.

    The address is where a call returns to; the call stands before it. What was inlined is followed
    outwards to the first line of the draft.
    """
    tool = which("addr2line")
    if tool is None or code <= 0:
        return None
    try:
        done = subprocess.run(
            [tool, "-i", "-e", str(program), hex(code - 1)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ADDR2LINE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    for place in done.stdout.splitlines()[:_DEEPEST]:
        match = re.search(rf"{re.escape(NAME)}:(\d+)", place)
        if match:
            return int(match[1])
    return None
