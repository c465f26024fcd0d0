"""The judge's side of a draft's process: start, prepare, call, stop, end.

The clock, the inputs and the outputs are the judge's. The process is stopped (SIGSTOP) except while
it is loading, preparing or being timed; the clock is read after the stop is confirmed, so that work
left to a thread that outlives the answer is either charged or not done.

A draft is built in one process and run in others, which can read the build and cannot change it.
What a run writes lies in a folder of its own and goes with it.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np

from outpace.codegen.abi import Role, output_shapes, slots
from outpace.codegen.dims import shape_of
from outpace.codegen.inputs import Case
from outpace.errors import EnvironmentError_
from outpace.kernels.dispatcher import Returns
from outpace.model import Contract, Grade, Status, Variant
from outpace.tuner.arena import Arena, Layout, Placed, poison
from outpace.tuner.failures import classify
from outpace.tuner.isolation import launch
from outpace.tuner.isolation.sandbox import Limits
from outpace.tuner.placement import spread

START_LIMIT = 120.0
"""Seconds for a process to start and load what is already built."""


_live: set[Worker] = set()


def end_all() -> None:
    """Kill every process started here that still runs; whoever waits for one gets a `Failure`."""
    for worker in tuple(_live):
        worker.kill()


class Failure(Exception):  # noqa: N818  (becomes a Trial, never reaches a caller)
    """The process did not do what it was asked; it has been ended."""

    def __init__(
        self, status: Status, reason: str, details: str = "", grade: Grade = Grade.D
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.details = details
        self.grade = grade


@dataclass(frozen=True)
class Call:
    """Inputs of one call: sizes, and values by argument name.

    `case` draws them again; None where they were not drawn.
    """

    sizes: Mapping[str, int]
    values: Mapping[str, Any]
    case: Case | None = None


def bytes_of(contract: Contract, sizes: Mapping[str, int]) -> tuple[int, int]:
    """Bytes of the read-only arrays and of the written arrays of one call."""
    read = written = 0
    for slot in slots(contract):
        if slot.role is Role.SCALAR:
            continue
        room = Layout.room(prod(shape_of(slot.dims, sizes)) * np.dtype(slot.dtype).itemsize)
        if slot.role is Role.INPUT:
            read += room
        else:
            written += room
    return read, written


def capacity_for(
    contract: Contract, batches: Iterable[tuple[int, Mapping[str, int]]]
) -> tuple[int, int]:
    """Bytes of the input and of the output arena that hold any of these batches.

    Args:
        contract: Of the reference.
        batches: Number of calls, and their sizes.
    """
    rooms = [(count, *bytes_of(contract, sizes)) for count, sizes in batches]
    return max(n * read for n, read, _ in rooms), max(n * written for n, _, written in rooms)


class Worker:
    """One process that builds a variant, or runs it or the reference on request.

    Use as a context manager: leaving it ends the process and frees its memory and files.

    Attributes:
        allocates: Whether its calls make their outputs, as those of the reference do.
        grade: Isolation reached.
        compiles_late: Whether its first calls may have to compile; its own word, which can only
            gain it time.
    """

    def __init__(
        self,
        contract: Contract,
        folder: Path,
        capacity: tuple[int, int],
        *,
        variant: Variant | None = None,
        location: tuple[str, str] | None = None,
        building: bool = False,
        rehearsed: Returns | None = None,
        lowest: Grade = Grade.D,
        start_limit: float = START_LIMIT,
        awaited: bool = True,
        interpreter: Path | None = None,
        pooled: bool = False,
    ) -> None:
        """Start the process and wait until it has built or loaded.

        Args:
            contract: Of the reference.
            folder: Holds the bound draft, and in its folder `build` what was compiled from it.
            capacity: Bytes of the input and of the output arena.
            variant: The draft to build or run; None for the reference.
            location: File and qualified name of the reference, when `variant` is None.
            building: Compile the draft into `build`, and where it compiles late, run it there.
            rehearsed: Form of the reference's return value, where the draft is to be called as it
                will be served (`rehearsal.py`); its results then are what the caller was given.
            lowest: Grade of isolation below which nothing of the draft is run.
            start_limit: Seconds to load; a build needs more than a load from its cache.
            awaited: False to return at once; call `wait_until_loaded` then, before anything else.
            interpreter: Another Python for the reference, as for `launch.start`.
            pooled: Whether the caller only waits for other threads, which then need every core.

        Raises:
            Failure: It did not build or load; the process has been ended.
            EnvironmentError_: The process itself could not be set up.
        """
        self.contract = contract
        self.grade = Grade.D
        self.compiles_late = False
        self._is_reference = self.allocates = variant is None
        self._pooled = pooled
        self._rng = np.random.default_rng()
        self._placed: list[list[Placed | None]] = []
        folder = folder.resolve()
        self._scratch = None if variant is None else launch.scratch_in(folder)
        self._inputs = Arena(capacity[0], read_only_descriptor=True)
        self._outputs = Arena(capacity[1], read_only_descriptor=False)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        theirs, self._commands = os.pipe()
        self._replies, answers = os.pipe()
        setup = {"commands": theirs, "replies": answers} | self._arenas()
        if variant is None:
            setup |= {"kind": "reference", "location": location}
        else:
            assert self._scratch is not None
            setup |= launch.setup_of(variant, contract, folder, self._scratch, building=building)
        if rehearsed is not None:
            setup |= {"kind": "rehearsal", "returns": asdict(rehearsed)}
        try:
            self._child = launch.start(setup, self._scratch or folder, self._log, interpreter)
        finally:
            os.close(theirs)
            os.close(answers)
        _live.add(self)
        self._poll, self._room = select.poll(), select.poll()
        self._poll.register(self._replies, select.POLLIN)
        self._room.register(self._commands, select.POLLOUT)
        os.set_blocking(self._commands, False)
        if awaited:
            try:
                self.wait_until_loaded(lowest, start_limit)
            except BaseException:
                self.close()
                raise

    def _arenas(self) -> dict[str, Any]:
        """What the process is told of the memory that it shares."""
        return {
            "limits": asdict(Limits((4 << 30) + 8 * (self._inputs.size + self._outputs.size))),
            "inputs": self._inputs.descriptor,
            "input_size": self._inputs.size,
            "outputs": self._outputs.descriptor,
            "output_size": self._outputs.size,
            "mutates": bool(self.contract.mutated),
        }

    def wait_until_loaded(self, lowest: Grade = Grade.D, start_limit: float = START_LIMIT) -> None:
        """Wait until the process has loaded; nothing of a draft runs before its grade is known.

        Arguments and exceptions are those of the constructor.
        """
        try:
            self.grade = Grade(self._reply(START_LIMIT, "starting").get("grade", "D"))
        except Failure as failure:
            raise EnvironmentError_(
                f"a process for drafts cannot be started: {failure.reason}; {failure.details}; "
                "`outpace doctor` tries its parts"
            ) from failure
        if self.grade > lowest:
            raise self._failure(
                Status.BLOCKED,
                f"it was not run: isolation here is of grade {self.grade}, and drafts of a model "
                f"need {lowest}; `outpace doctor` says what is missing, --accept-risk runs them "
                "all the same",
            )
        self._write(b"l", start_limit, "loading")
        self.compiles_late = not self._reply(start_limit, "loading").get("compiled")
        self.pause()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- one batch ----------------------------------------------------------------------------

    def prepare(
        self, calls: Sequence[Call], limit: float = 30.0, *, anywhere: bool = False
    ) -> None:
        """Place the buffers of a batch anew, then fill them while the process is stopped.

        Args:
            calls: The batch.
            limit: Seconds that the process may take to make its views.
            anywhere: Whether buffers start where any element could lie, as a caller's arrays may;
                else at a cache line, so that timings compare.
        """
        self._placed = []
        layouts = Layout(self._inputs.size, self._rng), Layout(self._outputs.size, self._rng)
        items = []
        for call in calls:
            placed, item = self._place(call, layouts, anywhere=anywhere)
            self._placed.append(placed)
            items.append(item)
        self._ask({"do": "prepare", "items": items}, limit)
        self.refill(calls)

    def refill(self, calls: Sequence[Call]) -> None:
        """Give the batch other array values of the same sizes, in the buffers that it has.

        The process does not run meanwhile; to it the arrays are the same objects as before.
        """
        for call, placed in zip(calls, self._placed, strict=True):
            self._fill(call, placed)

    def _place(
        self, call: Call, layouts: tuple[Layout, Layout], *, anywhere: bool
    ) -> tuple[list[Placed | None], list[list[Any]]]:
        placed: list[Placed | None] = []
        item: list[list[Any]] = []
        for slot in slots(self.contract):
            if slot.role is Role.SCALAR:
                placed.append(None)
                item.append(["s", slot.dtype, _plain(call.values[slot.name])])
                continue
            is_input = slot.role is Role.INPUT
            place = layouts[0 if is_input else 1].place(
                shape_of(slot.dims, call.sizes), slot.dtype, anywhere=anywhere
            )
            placed.append(place)
            (self._inputs if is_input else self._outputs).use_huge_pages(place)
            if slot.role is not Role.OUTPUT or not self._is_reference:
                wire = [place.offset, list(place.shape), place.dtype]
                item.append(["i" if is_input else "o", wire])
        return placed, item

    def _fill(self, call: Call, placed: Sequence[Placed | None]) -> None:
        for slot, place in zip(slots(self.contract), placed, strict=True):
            if place is None:
                continue
            arena = (self._inputs if slot.role is Role.INPUT else self._outputs).mapping
            if slot.role is Role.OUTPUT:
                poison(arena.array(place), self._rng)
            else:
                arena.array(place)[...] = call.values[slot.name]
            for margin in place.margins():
                arena.array(margin)[...] = place.margin_byte

    def run(self, limit: float) -> float:
        """Run the prepared batch once; the process is stopped again when this returns.

        Returns:
            Seconds from letting the process go until every thread of it has stopped.

        Raises:
            Failure: It crashed, raised, or took longer than `limit` seconds.
        """
        with nullcontext() if self._pooled else spread(self._child.pid) as has_woken:
            begin = time.perf_counter_ns()  # before SIGCONT: the draft may run from there
            self.resume()
            self._write(b"g", limit, "taking the request")
            if has_woken is not None:
                has_woken()
            ready = self._poll.poll(limit * 1000)
            mark = os.read(self._replies, 1) if ready else None
            self.pause()
            seconds = (time.perf_counter_ns() - begin) * 1e-9
        if mark is None:
            raise self._failure(Status.TIMEOUT, f"no answer within {limit:.1f} s")
        if mark != b"d":
            self._explain(mark, limit)
        return seconds

    def results(self, item: int = 0) -> list[np.ndarray[Any, Any]]:
        """Views of what one call of the batch left: mutated arguments, then returned outputs.

        For the reference `publish` must have been called. The views are valid until the next
        `prepare`.

        Raises:
            Failure: It wrote beside an array, or is not stopped.
        """
        self._refuse_running()
        found = []
        for slot, place in zip(slots(self.contract), self._placed[item], strict=True):
            if slot.role in (Role.INOUT, Role.OUTPUT):
                assert place is not None
                around = [self._outputs.mapping.array(margin) for margin in place.margins()]
                if any((margin != place.margin_byte).any() for margin in around):
                    raise self._failure(Status.WRONG, f"it writes outside {slot.name}")
                found.append(self._outputs.mapping.array(place))
        return found

    def publish(self, limit: float = 60.0) -> None:
        """Let the reference copy what it returned into the output arena."""
        items = [
            [
                [place.offset, list(place.shape), place.dtype]
                for slot, place in zip(slots(self.contract), placed, strict=True)
                if slot.role is Role.OUTPUT and place is not None
            ]
            for placed in self._placed
        ]
        self._ask({"do": "publish", "items": items}, limit)

    def allocation_seconds(self, sizes: Mapping[str, int], limit: float = 60.0) -> float:
        """What allocating the returned outputs costs a caller; asked of the reference only."""
        assert self._is_reference
        shapes = output_shapes(self.contract, sizes)
        arrays = [
            [list(shape), output.dtype]
            for shape, output in zip(shapes, self.contract.outputs, strict=True)
        ]
        return float(self._ask({"do": "allocate", "arrays": arrays}, limit)["seconds"])

    @property
    def everyone(self) -> tuple[int, ...]:
        """Of the one process, as the judge sees it."""
        return (self._child.pid,)

    # --- process control ----------------------------------------------------------------------

    def pause(self) -> None:
        """Stop every thread and wait until they have stopped; does nothing to a dead process."""
        self._child.pause()

    def resume(self) -> None:
        """Let the process go on; does nothing to a dead process."""
        self._child.resume()

    def _refuse_running(self) -> None:
        """Fail a process that let itself go on after it was stopped."""
        if not self._child.is_stopped():
            raise self._failure(Status.SUSPECT, "it does not stay stopped while it is judged")

    def kill(self) -> None:
        """Kill the process and everything that it started; does nothing if it has ended."""
        self._child.kill()

    def close(self) -> None:
        """End the process with everything that it started; free its memory and files."""
        # Without seccomp nothing kept it from starting processes that leave its group.
        self._child.close(sweep=self.grade is Grade.D and not self._is_reference)
        _live.discard(self)
        for descriptor in (self._commands, self._replies):
            os.close(descriptor)
        self._log.close()
        self._inputs.close()
        self._outputs.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    # --- messages -----------------------------------------------------------------------------

    def _ask(self, message: dict[str, Any], limit: float) -> dict[str, Any]:
        """Send a message, untimed, and stop the process again."""
        self.resume()
        body = json.dumps(message).encode()
        data = b"m" + len(body).to_bytes(4, "little") + body
        self._write(data, limit, message["do"])
        reply = self._reply(limit, message["do"])
        self.pause()
        return reply

    def _write(self, data: bytes, limit: float, doing: str) -> None:
        """Write to the channel, which a process may have closed, filled, or never read from."""
        deadline = time.monotonic() + limit
        try:
            while data:
                try:
                    data = data[os.write(self._commands, data) :]
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise self._failure(
                            Status.TIMEOUT, f"{doing} took longer than {limit:.0f} s"
                        ) from None
                    self._room.poll(10)
        except BrokenPipeError:
            raise self._failure(*self._death()) from None

    def _reply(self, limit: float, doing: str) -> dict[str, Any]:
        deadline = time.monotonic() + limit
        if not self._poll.poll(limit * 1000):
            raise self._failure(Status.TIMEOUT, f"{doing} took longer than {limit:.0f} s")
        mark = os.read(self._replies, 1)
        if mark == b"r":
            return self._body(deadline)
        self._explain(mark, limit)
        raise AssertionError  # `_explain` raises

    def _body(self, deadline: float) -> dict[str, Any]:
        size = int.from_bytes(self._read_exactly(4, deadline), "little")
        if size > 1 << 20:
            raise self._failure(Status.CRASHED, "the process sent a malformed reply")
        try:
            body = json.loads(self._read_exactly(size, deadline))
        except (ValueError, RecursionError):
            raise self._failure(Status.CRASHED, "the process sent a malformed reply") from None
        if not isinstance(body, dict):
            raise self._failure(Status.CRASHED, "the process sent a malformed reply")
        return body

    def _read_exactly(self, size: int, deadline: float) -> bytes:
        data = b""
        while len(data) < size:
            left = max(0.0, deadline - time.monotonic())
            if not self._poll.poll(left * 1000):
                raise self._failure(Status.TIMEOUT, "the process stopped in mid-reply")
            part = os.read(self._replies, size - len(data))
            if not part:
                raise self._failure(Status.CRASHED, "the process ended in mid-reply")
            data += part
        return data

    def _explain(self, mark: bytes, limit: float) -> None:
        """Turn anything but the expected answer into a `Failure`."""
        if mark == b"e":
            self.resume()
            error = self._body(time.monotonic() + min(limit, 10.0))
            raise self._failure(*classify(error))
        if mark == b"":
            raise self._failure(*self._death())
        raise self._failure(Status.CRASHED, "the process sent a malformed reply")

    def _death(self) -> tuple[Status, str]:
        self.resume()  # one that only closed its channel ends when it finds out
        code = self._child.wait(5.0)
        if code is None:
            return Status.CRASHED, "the process closed its channel"
        if code < 0:
            return Status.CRASHED, f"the process died of {_signal_name(-code)}"
        return Status.CRASHED, f"the process exited with code {code}"

    def _failure(self, status: Status, reason: str, details: str = "") -> Failure:
        self._log.seek(0)
        log = self._log.read(4000).decode(errors="replace")
        return Failure(status, reason, details or log, self.grade)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"


def _plain(value: Any) -> Any:
    """A scalar as JSON can carry it."""
    if isinstance(value, complex | np.complexfloating):
        return [float(value.real), float(value.imag)]
    return value.item() if isinstance(value, np.generic) else value
