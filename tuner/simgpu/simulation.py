"""The process in which a compiled draft is simulated, and the calls that it is asked for."""

from __future__ import annotations

import json
import os
import select
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from outpace.codegen.abi import Role, Slot, slots
from outpace.codegen.cuda import (
    Action,
    ArrayArgument,
    Copy,
    Fill,
    Launch,
    Resolved,
    ScalarArgument,
)
from outpace.codegen.dims import shape_of
from outpace.errors import DraftError
from outpace.model import Contract, Grade, Status
from outpace.tuner.arena import ALIGNMENT, Arena, Placed, poison
from outpace.tuner.isolation.launch import scratch_in
from outpace.tuner.process import Call, Failure
from outpace.tuner.simgpu.building import Build, Program
from outpace.tuner.simgpu.confined import UNBOUNDED, read_grade, start_confined
from outpace.tuner.simgpu.findings import Finding, Shape

_MEMORY = 6 << 30
_CELL = 48
"""Bytes that the runtime keeps for each element of an array, see runtime/memory.h."""
_LINE = 1 << 16
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class _Memory:
    """One array of a call: its name, how the runtime treats it, and where it lies."""

    name: str
    mode: str
    placed: Placed


class Simulation:
    """One process that simulates a draft, call by call.

    Use as a context manager. After a `Failure` the process has ended.

    Attributes:
        grade: Isolation reached.
        seed: Decides the order of threads and blocks of the next call, and what unwritten memory
            holds. Multiples of 8 keep the order of a GPU's numbering.
        remark: What may explain wrong results of the last call, or None.
    """

    def __init__(
        self,
        program: Program,
        contract: Contract,
        plan: Callable[[Mapping[str, int]], Resolved],
        capacity: int,
        *,
        lowest: Grade = Grade.D,
    ) -> None:
        """Start the process.

        Args:
            program: The compiled draft.
            contract: Of the reference.
            plan: What a call of these sizes does; may raise DraftError.
            capacity: Bytes of the arrays of the largest call, see `bytes_needed`.
            lowest: Grade of isolation below which nothing is run.

        Raises:
            Failure: Isolation is below `lowest`.
            EnvironmentError_: The process could not be set up.
        """
        self.seed = 0
        self.remark: str | None = None
        self._program, self._contract, self._plan = program, contract, plan
        self._rng = np.random.default_rng()
        self._arena = Arena(capacity, read_only_descriptor=False)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        theirs, self._commands = os.pipe()
        self._replies, answers = os.pipe()
        self._memory: list[_Memory] = []
        self._text = b""
        self._received = b""
        words = map(str, (theirs, answers, self._arena.descriptor, self._arena.size))
        sanitized = program.build is Build.SANITIZED
        try:
            self._child = start_confined(
                [str(program.path), *words],
                program.folder,
                scratch_in(program.folder),
                building=False,
                descriptors=[theirs, answers, self._arena.descriptor],
                grade=answers,
                lowest=lowest,
                log=self._log,
                memory=UNBOUNDED if sanitized else _MEMORY + _CELL * self._arena.size,
            )
        finally:
            os.close(theirs)
            os.close(answers)
        try:
            self.grade = read_grade(self._replies, lowest)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def prepare(self, calls: Sequence[Call]) -> None:
        """Take the inputs of the next call; outputs are poisoned.

        Args:
            calls: One call.

        Raises:
            Failure: Its launch plan cannot be carried out at these sizes.
        """
        (call,) = calls
        try:
            resolved = self._plan(call.sizes)
        except DraftError as error:
            raise Failure(Status.INVALID, str(error), grade=self.grade) from error
        self._memory = list(_placed(self._contract, call.sizes, resolved))
        for slot, memory in zip(_arrays(self._contract), self._memory, strict=False):
            array = self._arena.mapping.array(memory.placed)
            if slot.role is Role.OUTPUT:
                poison(array, self._rng)
            else:
                array[...] = call.values[slot.name]
        text = " ".join(self._words(call, resolved)).encode()
        self._text = b"%08d" % len(text) + text

    def run(self, limit: float) -> float:
        """Simulate the prepared call.

        Returns:
            Seconds that it took.

        Raises:
            Failure: Something was found, or it took longer than `limit` seconds.
        """
        begin = time.monotonic()
        line = self._answer(self._text, begin + limit)
        if line is None:
            self.close()
            reason = f"no answer within {limit:.1f} s; blocks may wait for each other, or loop"
            raise Failure(Status.TIMEOUT, reason, grade=self.grade)
        report = _decoded(line)
        if report is None:
            raise Failure(Status.CRASHED, self._death(), self._printed(), self.grade)
        self.remark = None
        if report:
            shapes = {m.name: Shape(m.placed.shape, m.placed.dtype) for m in self._memory}
            finding = Finding(report, self._program.path, shapes)
            if not finding.is_remark:
                raise finding.failure(self.grade)
            self.remark = finding.sentence
        return time.monotonic() - begin

    def results(self) -> list[Array]:
        """What the last call left: mutated arguments, then outputs; valid until the next one."""
        return [self._arena.mapping.array(m.placed) for m in self._memory if "out" in m.mode]

    def close(self) -> None:
        """End the process and free its memory."""
        if self._commands < 0:
            return
        self._child.close(sweep=True)
        for descriptor in (self._commands, self._replies):
            os.close(descriptor)
        self._commands = -1
        self._arena.close()
        self._log.close()

    # --- the channel --------------------------------------------------------------------------

    def _words(self, call: Call, resolved: Resolved) -> Iterator[str]:
        """A call as the runtime reads it; see runtime/main.cpp."""
        number = {memory.name: i for i, memory in enumerate(self._memory)}
        kinds = {memory.name: np.dtype(memory.placed.dtype) for memory in self._memory}
        yield f"{self.seed} {len(self._memory)}"
        for m in self._memory:
            place, kind = m.placed, kinds[m.name]
            yield f"{m.name} {m.mode} {place.offset} {place.nbytes} {kind.itemsize}"
        yield str(len(resolved.actions))
        for action in resolved.actions:
            yield from self._action(action, call, number, kinds)

    def _action(
        self,
        action: Action,
        call: Call,
        number: Mapping[str, int],
        kinds: Mapping[str, np.dtype[Any]],
    ) -> Iterator[str]:
        match action:
            case Launch():
                kernel = self._program.kernels.index(action.kernel)
                extents = (*action.grid, *action.block, action.shared, len(action.arguments))
                yield f"launch {kernel} {' '.join(map(str, extents))}"
                for argument in action.arguments:
                    if isinstance(argument, ArrayArgument):
                        yield f"a {number[argument.name]}"
                    else:
                        yield f"s {_halves(self._value(argument, call))}"
            case Fill(array=array, value=value):
                kind = kinds[array]
                bits = _halves(np.asarray(value).astype(kind).tobytes())
                yield f"fill {number[array]} {kind.itemsize} {bits}"
            case Copy(source=source, target=target):
                yield f"copy {number[source]} {number[target]}"

    def _value(self, argument: ScalarArgument | int, call: Call) -> bytes:
        if isinstance(argument, int):
            return struct.pack("<q", argument)
        kind = next(a.dtype for a in self._contract.arguments if a.name == argument.name)
        return np.asarray(call.values[argument.name], dtype=kind).tobytes()

    def _answer(self, text: bytes, deadline: float) -> bytes | None:
        """Send a call and read one line; None when the time is over."""
        poll = select.poll()
        poll.register(self._replies, select.POLLIN)
        os.set_blocking(self._commands, False)
        sent = 0
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if sent < len(text):
                sent += self._send(text[sent:])
            if poll.poll(min(left, 0.01 if sent < len(text) else left) * 1000):
                part = os.read(self._replies, _LINE)
                if not part:
                    break
                self._received += part
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _send(self, text: bytes) -> int:
        try:
            return os.write(self._commands, text)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            return len(text)

    def _death(self) -> str:
        code = self._child.wait(5.0)
        if code is None:
            return "the simulation closed its channel"
        return f"the simulation died of signal {-code}" if code < 0 else f"it exited with {code}"

    def _printed(self) -> str:
        self._log.seek(0)
        return self._log.read(4000).decode(errors="replace")


def bytes_needed(
    contract: Contract, sizes: Mapping[str, int], plan: Callable[[Mapping[str, int]], Resolved]
) -> int:
    """Bytes for the arrays of one call, or of a smaller one; 0 where its plan cannot be done."""
    try:
        memory = list(_placed(contract, sizes, plan(sizes)))
    except DraftError:
        return 0
    return sum(m.placed.nbytes + 2 * ALIGNMENT for m in memory if m.mode != "buffer")


def _arrays(contract: Contract) -> list[Slot]:
    return [slot for slot in slots(contract) if slot.role is not Role.SCALAR]


_MODES = {Role.INPUT: "in", Role.INOUT: "inout", Role.OUTPUT: "out"}


def _placed(contract: Contract, sizes: Mapping[str, int], resolved: Resolved) -> Iterator[_Memory]:
    """The arrays of a call, those of the contract first; buffers take no room in the arena."""
    offset = 0
    for slot in _arrays(contract):
        placed = Placed(offset, shape_of(slot.dims, sizes), slot.dtype)
        yield _Memory(slot.name, _MODES[slot.role], placed)
        offset += -(-placed.nbytes // ALIGNMENT) * ALIGNMENT
    for buffer in resolved.buffers:
        yield _Memory(buffer.name, "buffer", Placed(0, buffer.shape, buffer.dtype))


def _halves(value: bytes) -> str:
    """Up to 16 bytes as two hexadecimal numbers, the low half first."""
    low, high = struct.unpack("<QQ", value.ljust(16, b"\0"))
    return f"{low:x} {high:x}"


def _decoded(line: bytes) -> dict[str, Any] | None:
    """The report on a line, empty where nothing was found; None where it is no report."""
    try:
        report = json.loads(line)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None
