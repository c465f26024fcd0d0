"""Ranks as threads of which exactly one runs, in an order that a seed decides.

A rank may lose its turn only in an MPI call. Whoever gives the turn away wakes the next rank
through that rank's own lock, so a hand-over costs one switch of threads, and a program that is
deterministic in itself runs alike every time.
"""

from __future__ import annotations

import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from outpace.tuner.simcomm.faults import (
    Call,
    Deadlock,
    Fault,
    InvalidCall,
    LeakedRequests,
    LimitReached,
    Livelock,
    Place,
    RankFailed,
    Stopped,
    UnreceivedMessages,
    Unsupported,
    Waiting,
)

if TYPE_CHECKING:
    from outpace.tuner.simcomm.messages import Mailbox, Operation

STACK_BYTES = 16 * 2**20
"""Of a rank's thread: compilers that a program calls need it, and untouched pages are free."""
IDLE_POLLS = 2000
"""Polls per rank in vain, with no other event between them, that make a livelock."""
_KEPT_TURNS = 0.5
"""Of the turns at calls that need not wait; a hand-over takes longer than most calls."""

_HERE = str(Path(__file__).parent)
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
_thread = threading.local()


@dataclass(frozen=True)
class Options:
    """What a simulated machine is like.

    Attributes:
        eager_bytes: Standard sends of fewer bytes than this end before they are received; 0 makes
            every one wait for its receiver, as MPI may.
        latency: Seconds of virtual time for any message.
        seconds_per_byte: Virtual time for each byte of a message.
        compute: Virtual seconds for each second of a rank's own CPU time; 0 charges none and
            makes the clock the same in every run.
        max_calls: MPI calls of all ranks together after which the simulation gives up.
        max_seconds: Real seconds after which it gives up.
    """

    eager_bytes: int = 0
    latency: float = 1e-6
    seconds_per_byte: float = 1e-10
    compute: float = 0.0
    max_calls: int = 20_000_000
    max_seconds: float = 60.0


@dataclass(eq=False)
class Rank:
    """The state of one rank.

    Attributes:
        index: In COMM_WORLD.
        clock: Its virtual time in seconds.
        looks: How often it has looked at the clock.
        is_finalized: Whether it has called MPI.Finalize.
        thread: Identifies its thread.
        call: The MPI call that it is in, or was in last.
        operations: Begun and not yet completed.
        attached: Bytes of the buffer for buffered sends.
        communicators: Its COMM_WORLD and COMM_SELF.
        uninterrupted: While above 0 it keeps its turn, and must not wait.
    """

    index: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    thread: int = 0
    clock: float = 0.0
    looks: int = 0
    is_finalized: bool = False
    cpu: float = 0.0
    call: Call | None = None
    blocked: bool = False
    ended: bool = False
    result: Any = None
    operations: dict[int, Operation] = field(default_factory=dict)
    uninterrupted: int = 0
    attached: int = 0
    communicators: tuple[Any, Any] = (None, None)
    calls: int = 0
    messages_sent: int = 0
    bytes_sent: int = 0
    messages_received: int = 0
    bytes_received: int = 0
    collectives: int = 0


class Simulation:
    """One run of a program on simulated ranks.

    Attributes:
        ranks: The state of every rank.
        running: The one whose turn it is.
        fault: The first fault found, or None.
        mailboxes: Messages and receives that wait for each other, by context and receiver.
    """

    def __init__(self, ranks: int, seed: int, options: Options) -> None:
        self.options = options
        self.random = Random(seed)  # noqa: S311  (nobody is to be kept from guessing)
        self.ranks = [Rank(index) for index in range(ranks)]
        self.running = self.ranks[0]
        self.fault: Fault | None = None
        self.mailboxes: dict[tuple[int, int], Mailbox] = {}
        self.on_resume: Callable[[Rank], None] | None = None
        self._ready = list(self.ranks)
        self._finished = threading.Lock()
        self._contexts = 0
        self._calls = 0
        self._polls = 0

    # --- Life of the ranks ----------------------------------------------------------------------

    def run(self, program: Callable[[Rank], Any]) -> None:
        """Run the program once per rank, until all have ended or a fault is found."""
        self._finished.acquire()
        for rank in self.ranks:
            rank.lock.acquire()
        before = threading.stack_size(STACK_BYTES)
        try:
            for rank in self.ranks:
                threading.Thread(target=self._live, args=(rank, program), daemon=True).start()
        finally:
            threading.stack_size(before)
        self._wake_next()
        if not self._finished.acquire(timeout=self.options.max_seconds):
            self._give_up()

    def _live(self, rank: Rank, program: Callable[[Rank], Any]) -> None:
        rank.thread = threading.get_ident()
        rank.lock.acquire()
        _thread.rank = rank
        _thread.simulation = self
        rank.cpu = time.thread_time()
        try:
            if self.fault is None:
                self._resume(rank)
                rank.result = program(rank)
                self.charge(rank)
        except Stopped:
            pass
        except SystemExit as error:
            if error.code not in (None, 0):
                self._record(_failed(rank, error, f"the program exited with {error.code!r}"))
        except BaseException as error:  # noqa: BLE001  (whatever the program raises ends it)
            self._record(_failed(rank, error, f"{type(error).__name__}: {error}"))
        rank.ended = True
        rank.call = None
        self._ready.remove(rank)
        self._wake_next()

    def _wake_next(self) -> None:
        """Give the turn of a rank that has ended, or of none, to the next one."""
        if self.fault is None and not self._ready and not all(r.ended for r in self.ranks):
            self._record(self._deadlock())
        following = next((r for r in self.ranks if not r.ended), None)
        if self.fault is None and self._ready:
            following = self._draw()
        if following is None:
            if self.fault is None:
                self._finalise()
            self._finished.release()
            return
        if following.blocked:
            self._unblock(following)
        self.running = following
        following.lock.release()

    def _give_up(self) -> None:
        """Leave the threads, which cannot be ended from outside, where they are."""
        rank = self.running
        frame = sys._current_frames().get(rank.thread)  # noqa: SLF001  (there is no other way)
        call = None if frame is None else _function_of(frame)
        reason = f"not done after {self.options.max_seconds:g} s; this rank was running"
        self._record(LimitReached(reason, rank=rank.index, call=call))

    # --- Turns ----------------------------------------------------------------------------------

    def enter(self, name: str) -> Call:
        """Note the MPI call that the program has made, and let others have their turn.

        Args:
            name: Of the function, with the arguments that tell this call from others.
        """
        rank = self.running
        call = Call(name, user_place())
        if getattr(_thread, "rank", None) is not rank:
            fault = Unsupported("a call from a thread that the program has started", call=call)
            self._record(fault)
            raise fault
        rank.call = call
        if rank.is_finalized:
            self.fail(InvalidCall("MPI.Finalize has been called before"))
        self._turn(rank)
        return call

    def _turn(self, rank: Rank) -> None:
        if self.fault is not None:
            raise Stopped
        self._calls += 1
        rank.calls += 1
        if self._calls > self.options.max_calls:
            self.fail(LimitReached(f"more than {self.options.max_calls} MPI calls"))
        self.charge(rank)
        if rank.uninterrupted or self.random.random() < _KEPT_TURNS:
            return
        following = self._draw()
        if following is not rank:
            self._hand_over(rank, following)

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Let others run until something holds; only an event can make it hold.

        Args:
            done: Asked again whenever this rank was woken.
        """
        rank = self.running
        while not done():
            if self.fault is not None:
                raise Stopped
            if rank.uninterrupted:
                self._refuse_to_wait()
            rank.blocked = True
            self._ready.remove(rank)
            if not self._ready:
                self.fail(self._deadlock())
            self._hand_over(rank, self._draw())

    def wake(self, rank: Rank) -> None:
        """An event for a rank: it looks again at what it waits for."""
        self._polls = 0
        if rank.blocked:
            self._unblock(rank)

    def polled_in_vain(self) -> None:
        """The running rank has asked for something that has not happened; that takes a while.

        Livelock is found where no event came between very many of these.
        """
        if self.running.uninterrupted:
            self._refuse_to_wait()
        self.running.clock += self.options.latency
        self._polls += 1
        if self._polls > IDLE_POLLS * len(self.ranks):
            self.fail(Livelock(f"polled {self._polls} times in vain while no rank did anything"))

    def _refuse_to_wait(self) -> NoReturn:
        self.fail(Unsupported("a module waits for other ranks while it is imported"))

    def _draw(self) -> Rank:
        return self._ready[int(self.random.random() * len(self._ready))]

    def _unblock(self, rank: Rank) -> None:
        rank.blocked = False
        self._ready.append(rank)

    def _hand_over(self, rank: Rank, following: Rank) -> None:
        self.running = following
        following.lock.release()
        rank.lock.acquire()
        if self.fault is not None:
            raise Stopped
        self._resume(rank)

    def _resume(self, rank: Rank) -> None:
        if self.on_resume is not None:
            self.on_resume(rank)
        self.discount()

    # --- Clock ----------------------------------------------------------------------------------

    def charge(self, rank: Rank) -> None:
        """Add to a rank's clock what it has computed since it was last charged."""
        if self.options.compute:
            now = time.thread_time()
            rank.clock += self.options.compute * (now - rank.cpu)
            rank.cpu = now

    def discount(self) -> None:
        """Do not charge the running rank for what the simulation itself has just done."""
        if self.options.compute:
            self.running.cpu = time.thread_time()

    def transfer_time(self, size: int) -> float:
        """Virtual seconds for a message of so many bytes."""
        return self.options.latency + self.options.seconds_per_byte * size

    def new_context(self) -> int:
        """A number for a new communicator."""
        self._contexts += 1
        return self._contexts

    # --- Faults ---------------------------------------------------------------------------------

    def fail(self, fault: Fault) -> NoReturn:
        """End the simulation with a fault of the running rank.

        Args:
            fault: Gets the running rank and its call where it names none itself.

        Raises:
            Stopped: Always.
        """
        if fault.rank is None and not isinstance(fault, Deadlock | UnreceivedMessages):
            fault.rank = self.running.index
            fault.call = fault.call or self.running.call
        self._record(fault)
        if self.running.blocked:
            self._unblock(self.running)
        raise Stopped

    def _record(self, fault: Fault) -> None:
        if self.fault is None:
            fault.waiting = fault.waiting or self._waiting()
            self.fault = fault

    def _waiting(self) -> tuple[Waiting, ...]:
        return tuple(Waiting(r.index, r.call if r.blocked else None, r.ended) for r in self.ranks)

    def _deadlock(self) -> Fault:
        waiting = self._waiting()
        lost = [
            operation.described
            for rank in self.ranks
            if rank.blocked
            for operation in rank.operations.values()
            if operation.is_lost
        ]
        if lost:  # whatever else waits: these can never be received
            return UnreceivedMessages(_listed(lost), waiting=waiting)
        return Deadlock("; ".join(map(str, waiting)), waiting=waiting)

    def _finalise(self) -> None:
        """What must not be left when every rank has ended."""
        unreceived = [send.described for box in self.mailboxes.values() for send in box.sends]
        if unreceived:
            self._record(UnreceivedMessages(_listed(unreceived)))
            return
        leaked = [op for rank in self.ranks for op in rank.operations.values()]
        if leaked:
            first = leaked[0]
            listed = _listed([op.described for op in leaked])
            reason = f"never completed by Wait or Test: {listed}"
            self._record(LeakedRequests(reason, rank=first.rank.index, call=first.call))


def current() -> tuple[Simulation, Rank] | None:
    """The simulation and the rank of this thread, or None outside of any."""
    rank: Rank | None = getattr(_thread, "rank", None)
    return None if rank is None else (_thread.simulation, rank)


def user_place() -> Place:
    """The line of the user's program that is being run in this thread."""
    frame = sys._getframe(1)  # noqa: SLF001  (the documented way is a hundred times slower)
    while frame.f_code.co_filename.startswith(_HERE) and frame.f_back is not None:
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def _function_of(frame: FrameType) -> Call:
    """The innermost function of the program that a thread is in, as if it were a call."""
    at: FrameType | None = frame
    while at is not None and not _is_programs(at.f_code.co_filename):
        at = at.f_back
    found = at or frame
    return Call(found.f_code.co_name, Place(found.f_code.co_filename, found.f_lineno))


def _failed(rank: Rank, error: BaseException, reason: str) -> RankFailed:
    """The failure of a rank, at the last line of the program on the stack."""
    steps = traceback.extract_tb(error.__traceback__)
    own = [step for step in steps if _is_programs(step.filename)]
    call = Call(own[-1].name, Place(own[-1].filename, own[-1].lineno or 0)) if own else None
    fault = RankFailed(reason, rank=rank.index, call=call)
    fault.details = "".join(traceback.format_exception(error))
    return fault


def _is_programs(file: str) -> bool:
    return not file.startswith((_HERE, "<frozen", *_LIBRARIES))


def _listed(items: list[str], most: int = 5) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + more
