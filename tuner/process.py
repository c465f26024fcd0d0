"""The judge's side of a draft's process: start, prepare, call, stop, end.

The clock, the inputs and the outputs are the judge's. The process is stopped (SIGSTOP) except while
it is loading, preparing or being timed; the clock is read after the stop is confirmed, so that work
left to a thread that outlives the answer is either charged or not done.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np

from outpace import environment
from outpace.codec import encode
from outpace.codegen.abi import Role, output_shapes, slots
from outpace.codegen.dims import shape_of
from outpace.model import Contract, Grade, Status, Variant
from outpace.tuner.arena import Arena, Layout, Placed, poison
from outpace.tuner.sandbox import Limits

START_LIMIT = 120.0
"""Seconds for a process to start and load what is already built."""
_MARGIN = 0xA5
"""What the bytes around an output hold; a draft that changes them writes out of bounds."""
_SPAWN = (
    "import sys; sys.path[:] = {path!r}; from outpace.tuner.worker import main; main({setup!r})"
)


_live: set[Worker] = set()


def end_all() -> None:
    """Kill every process started here that still runs; whoever waits for one gets a `Failure`."""
    for worker in tuple(_live):
        worker.kill()


class Failure(Exception):  # noqa: N818  (becomes a Trial, never reaches a caller)
    """The process did not do what it was asked; it has been ended."""

    def __init__(self, status: Status, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.details = details


@dataclass(frozen=True)
class Call:
    """Inputs of one call: sizes, and values by argument name."""

    sizes: Mapping[str, int]
    values: Mapping[str, Any]


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
    """One process that runs a variant, or the reference, on request.

    Use as a context manager: leaving it ends the process and frees its memory.

    Attributes:
        grade: Isolation reached.
        compiles_late: Whether its first call may have to compile; its own word, which can only
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
        start_limit: float = START_LIMIT,
    ) -> None:
        """Start the process and wait until it has loaded.

        Args:
            contract: Of the reference.
            folder: Holds the bound draft; the process may write to its folder `build` only.
            capacity: Bytes of the input and of the output arena.
            variant: The draft to run; None for the reference.
            location: File and qualified name of the reference, when `variant` is None.
            start_limit: Seconds to load; a build needs more than a load from its cache.

        Raises:
            Failure: It did not load; the process has been ended.
        """
        self.contract = contract
        self.grade = Grade.D
        self.compiles_late = False
        self._is_reference = variant is None
        self._rng = np.random.default_rng()
        self._placed: list[list[Placed | None]] = []
        self._inputs = Arena(capacity[0], read_only_descriptor=True)
        self._outputs = Arena(capacity[1], read_only_descriptor=False)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        theirs, self._commands = os.pipe()
        self._replies, answers = os.pipe()
        scratch = folder if variant is None else folder / "build"
        if variant is not None:
            scratch.mkdir(exist_ok=True, mode=0o700)
        setup = self._setup(folder, variant, location)
        setup |= {"commands": theirs, "replies": answers}
        # An empty entry would mean the process's own folder, where a draft could put modules.
        path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100  (keeps links)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _SPAWN.format(path=path, setup=json.dumps(setup))],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=_environment(scratch),
                cwd=None if variant is None else scratch,
                pass_fds=(theirs, answers, self._inputs.descriptor, self._outputs.descriptor),
                start_new_session=True,
            )
        finally:
            os.close(theirs)
            os.close(answers)
        _live.add(self)
        self._poll, self._room = select.poll(), select.poll()
        self._poll.register(self._replies, select.POLLIN)
        self._room.register(self._commands, select.POLLOUT)
        os.set_blocking(self._commands, False)
        try:
            # The grade is answered before any code of the draft runs.
            self.grade = Grade(self._reply(START_LIMIT, "starting").get("grade", "D"))
            self.compiles_late = not self._reply(start_limit, "loading").get("compiled")
            self.pause()
        except BaseException:
            self.close()
            raise

    def _setup(
        self, folder: Path, variant: Variant | None, location: tuple[str, str] | None
    ) -> dict[str, Any]:
        """What the process is told; it is all that it knows."""
        memory = (4 << 30) + 8 * (self._inputs.size + self._outputs.size)
        return {
            "kind": "reference" if variant is None else "kernel",
            "folder": str(folder),
            "limits": asdict(Limits(memory=memory)),
            "inputs": self._inputs.descriptor,
            "input_size": self._inputs.size,
            "outputs": self._outputs.descriptor,
            "output_size": self._outputs.size,
            "language": "" if variant is None else variant.draft.language,
            "contract": "" if variant is None else encode(self.contract).decode(),
            "location": location,
            "mutates": bool(self.contract.mutated),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- one batch ----------------------------------------------------------------------------

    def prepare(self, calls: Sequence[Call], limit: float = 30.0) -> None:
        """Place the buffers of a batch anew, then fill them while the process is stopped."""
        self._placed = []
        layouts = Layout(self._inputs.size, self._rng), Layout(self._outputs.size, self._rng)
        items = []
        for call in calls:
            placed, item = self._place(call, layouts)
            self._placed.append(placed)
            items.append(item)
        self._ask({"do": "prepare", "items": items}, limit)
        for call, placed in zip(calls, self._placed, strict=True):
            self._fill(call, placed)

    def _place(
        self, call: Call, layouts: tuple[Layout, Layout]
    ) -> tuple[list[Placed | None], list[list[Any]]]:
        placed: list[Placed | None] = []
        item: list[list[Any]] = []
        for slot in slots(self.contract):
            if slot.role is Role.SCALAR:
                placed.append(None)
                item.append(["s", slot.dtype, _plain(call.values[slot.name])])
                continue
            is_input = slot.role is Role.INPUT
            place = layouts[0 if is_input else 1].place(shape_of(slot.dims, call.sizes), slot.dtype)
            placed.append(place)
            if slot.role is not Role.OUTPUT or not self._is_reference:
                wire = [place.offset, list(place.shape), place.dtype]
                item.append(["i" if is_input else "o", wire])
        return placed, item

    def _fill(self, call: Call, placed: Sequence[Placed | None]) -> None:
        for slot, place in zip(slots(self.contract), placed, strict=True):
            if place is None:
                continue
            if slot.role is Role.INPUT:
                self._inputs.mapping.array(place)[...] = call.values[slot.name]
            elif slot.role is Role.INOUT:
                self._outputs.mapping.array(place)[...] = call.values[slot.name]
            else:
                poison(self._outputs.mapping.array(place), self._rng)
            if slot.role is not Role.INPUT:
                for margin in place.margins():
                    self._outputs.mapping.array(margin)[...] = _MARGIN

    def run(self, limit: float) -> float:
        """Run the prepared batch once; the process is stopped again when this returns.

        Returns:
            Seconds from letting the process go until every thread of it has stopped.

        Raises:
            Failure: It crashed, raised, or took longer than `limit` seconds.
        """
        begin = time.perf_counter_ns()  # before SIGCONT: threads of the draft may run from there
        self.resume()
        self._write(b"g", limit, "taking the request")
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
            Failure: It wrote beside an array.
        """
        found = []
        for slot, place in zip(slots(self.contract), self._placed[item], strict=True):
            if slot.role in (Role.INOUT, Role.OUTPUT):
                assert place is not None
                if any((self._outputs.mapping.array(m) != _MARGIN).any() for m in place.margins()):
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

    # --- process control ----------------------------------------------------------------------

    def pause(self) -> None:
        """Stop every thread and wait until they have stopped; does nothing to a dead process."""
        try:
            os.kill(self._process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        except (ProcessLookupError, ChildProcessError):
            return

    def resume(self) -> None:
        """Let the process go on; does nothing to a dead process."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process and everything in its group; does nothing if it has ended."""
        if self._process.poll() is None:
            for end in (os.killpg, os.kill):
                try:
                    end(self._process.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    continue

    def close(self) -> None:
        """End the process with everything in its group, and free the memory."""
        self.kill()
        self._process.wait()
        _live.discard(self)
        for descriptor in (self._commands, self._replies):
            os.close(descriptor)
        self._log.close()
        self._inputs.close()
        self._outputs.close()

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
        except ValueError:
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
            raise self._failure(*_classify(error))
        if mark == b"":
            raise self._failure(*self._death())
        raise self._failure(Status.CRASHED, "the process sent a malformed reply")

    def _death(self) -> tuple[Status, str]:
        self.resume()  # one that only closed its channel ends when it finds out
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return Status.CRASHED, "the process closed its channel"
        if code < 0:
            return Status.CRASHED, f"the process died of {signal.Signals(-code).name}"
        return Status.CRASHED, f"the process exited with code {code}"

    def _failure(self, status: Status, reason: str, details: str = "") -> Failure:
        self._log.seek(0)
        log = self._log.read(4000).decode(errors="replace")
        return Failure(status, reason, details or log)


def _classify(error: Mapping[str, Any]) -> tuple[Status, str, str]:
    """Status, reason and details of an error that the process reports of itself."""
    kind, text = str(error.get("kind", "")), str(error.get("text", ""))
    details = str(error.get("where", ""))
    first = next((line for line in text.splitlines() if _says_something(line)), kind)
    if kind in ("BuildError", "SyntaxError", "IndentationError", "TypingError", "LoweringError"):
        return Status.BUILD_FAILED, f"does not compile: {first}", text or details
    if kind == "InvalidDraft":
        return Status.INVALID, first, details
    if kind == "MemoryError":
        return Status.OVER_LIMIT, f"asked for more memory than it may have: {first}", details
    if kind == "PermissionError":
        return Status.BLOCKED, f"tried what the sandbox denies: {first}", details
    return Status.CRASHED, f"{kind}: {first}", details


def _says_something(line: str) -> bool:
    """Whether a line is more than blank or the heading of Numba's messages."""
    return bool(line.strip()) and not line.startswith("Failed in nopython mode pipeline")


def _environment(folder: Path) -> dict[str, str]:
    """The same for the reference and for drafts.

    The C library's allocator is told to keep freed memory. By default it gives the top of the heap
    back and faults it in again at the next call, which doubles the time of array code; a draft that
    merely kept one array alive would then look twice as fast.
    """
    count = str(len(os.sched_getaffinity(0)))
    return environment.worker_environment(
        HOME=str(folder),
        TMPDIR=str(folder),
        NUMBA_NUM_THREADS=count,
        OMP_NUM_THREADS=count,
        MALLOC_TRIM_THRESHOLD_=str(1 << 40),
        MALLOC_TOP_PAD_=str(64 << 20),
        MALLOC_MMAP_THRESHOLD_=str(32 << 20),
    )


def _plain(value: Any) -> Any:
    """A scalar as JSON can carry it."""
    if isinstance(value, complex | np.complexfloating):
        return [float(value.real), float(value.imag)]
    return value.item() if isinstance(value, np.generic) else value
