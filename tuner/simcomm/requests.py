"""Handles of operations that were begun: requests, and requests that can be begun again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from outpace.tuner.simcomm.engine import Simulation, current
from outpace.tuner.simcomm.faults import Call, InvalidCall
from outpace.tuner.simcomm.messages import Incoming, Operation
from outpace.tuner.simcomm.status import UNDEFINED, Status
from outpace.tuner.simcomm.unsupported import Partial, refuse


class Request(Partial):
    """An operation until it is completed; without one, the null request."""

    def __init__(self, operation: Operation | None = None) -> None:
        self._operation = operation

    def __bool__(self) -> bool:
        return self._operation is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Request):
            return NotImplemented
        return self is other or not (self or other)

    __hash__ = object.__hash__

    # --- One ------------------------------------------------------------------------------------

    def Wait(self, status: Status | None = None) -> bool:
        self.wait(status)
        return True

    def wait(self, status: Status | None = None) -> Any:
        return _wait_all("Wait", [self], [status])[0]

    def Test(self, status: Status | None = None) -> bool:
        return self.test(status)[0]

    def test(self, status: Status | None = None) -> tuple[bool, Any]:
        done, values = _test_all("Test", [self], [status])
        return done, values[0] if done else None

    def Free(self) -> None:
        """The operation goes on; nobody is told of its end."""
        if self._operation is not None:
            self._operation.forget()
        self._release()

    free = Free

    def Cancel(self) -> None:
        operation = self._operation
        if not isinstance(operation, Incoming):
            refuse("Request.Cancel of anything but a receive")
        if not operation.done:
            operation.withdraw()

    cancel = Cancel

    # --- Several --------------------------------------------------------------------------------

    @classmethod
    def Waitall(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> bool:
        cls.waitall(requests, statuses)
        return True

    @classmethod
    def waitall(
        cls, requests: Sequence[Request], statuses: list[Status] | None = None
    ) -> list[Any]:
        return _wait_all("Waitall", requests, _filled(statuses, len(requests)))

    @classmethod
    def Testall(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> bool:
        return _test_all("Testall", requests, _filled(statuses, len(requests)))[0]

    @classmethod
    def testall(
        cls, requests: Sequence[Request], statuses: list[Status] | None = None
    ) -> tuple[bool, list[Any] | None]:
        done, values = _test_all("Testall", requests, _filled(statuses, len(requests)))
        return done, values if done else None

    @classmethod
    def Waitany(cls, requests: Sequence[Request], status: Status | None = None) -> int:
        return cls.waitany(requests, status)[0]

    @classmethod
    def waitany(cls, requests: Sequence[Request], status: Status | None = None) -> tuple[int, Any]:
        simulation = _enter("Waitany", requests)
        if not any(requests):
            return UNDEFINED, None
        simulation.wait_for(lambda: bool(_done(requests)))
        position = simulation.random.choice(_done(requests))
        return position, requests[position]._settle(status)  # noqa: SLF001  (of one class)

    @classmethod
    def Testany(cls, requests: Sequence[Request], status: Status | None = None) -> tuple[int, bool]:
        return cls.testany(requests, status)[:2]

    @classmethod
    def testany(
        cls, requests: Sequence[Request], status: Status | None = None
    ) -> tuple[int, bool, Any]:
        simulation = _enter("Testany", requests)
        if not any(requests):
            return UNDEFINED, True, None
        done = _done(requests)
        if not done:
            simulation.polled_in_vain()
            return UNDEFINED, False, None
        position = simulation.random.choice(done)
        return position, True, requests[position]._settle(status)  # noqa: SLF001

    @classmethod
    def Waitsome(
        cls, requests: Sequence[Request], statuses: list[Status] | None = None
    ) -> list[int] | None:
        return cls.waitsome(requests, statuses)[0]

    @classmethod
    def waitsome(
        cls, requests: Sequence[Request], statuses: list[Status] | None = None
    ) -> tuple[list[int] | None, list[Any] | None]:
        simulation = _enter("Waitsome", requests)
        if not any(requests):
            return None, None
        simulation.wait_for(lambda: bool(_done(requests)))
        return _settle_some(requests, statuses)

    @classmethod
    def Testsome(
        cls, requests: Sequence[Request], statuses: list[Status] | None = None
    ) -> list[int] | None:
        return cls.testsome(requests, statuses)[0]

    @classmethod
    def testsome(
        cls, requests: Sequence[Request], statuses: list[Status] | None = None
    ) -> tuple[list[int] | None, list[Any] | None]:
        simulation = _enter("Testsome", requests)
        if not any(requests):
            return None, None
        if not _done(requests):
            simulation.polled_in_vain()
        return _settle_some(requests, statuses)

    # --- Within ---------------------------------------------------------------------------------

    @property
    def _is_done(self) -> bool:
        return self._operation is None or self._operation.done

    def _settle(self, status: Status | None) -> Any:
        operation = self._operation
        if operation is None:
            return None
        self._release()
        value = operation.settle()
        if status is not None:
            status.copy_from(operation.status)
        return value

    def _release(self) -> None:
        self._operation = None


class Prequest(Request):
    """An operation that may be begun again and again with the same arguments."""

    def __init__(self, begin: Callable[[Call], Operation], name: str) -> None:
        super().__init__()
        self._begin = begin
        self._name = name

    def Start(self) -> None:
        simulation = _enter(f"Start of {self._name}", ())
        if self._operation is not None:
            simulation.fail(InvalidCall("it has been started already and is not completed"))
        call = simulation.running.call
        assert call is not None
        self._operation = self._begin(call)

    @classmethod
    def Startall(cls, requests: Sequence[Prequest]) -> None:
        for request in requests:
            request.Start()


def _wait_all(
    name: str, requests: Sequence[Request], statuses: Sequence[Status | None]
) -> list[Any]:
    simulation = _enter(name, requests)
    simulation.wait_for(lambda: all(r._is_done for r in requests))  # noqa: SLF001
    pairs = zip(requests, statuses, strict=True)
    return [request._settle(status) for request, status in pairs]  # noqa: SLF001


def _test_all(
    name: str, requests: Sequence[Request], statuses: Sequence[Status | None]
) -> tuple[bool, list[Any]]:
    simulation = _enter(name, requests)
    if not all(request._is_done for request in requests):  # noqa: SLF001
        simulation.polled_in_vain()
        return False, []
    pairs = zip(requests, statuses, strict=True)
    return True, [request._settle(status) for request, status in pairs]  # noqa: SLF001


def _settle_some(
    requests: Sequence[Request], statuses: list[Status] | None
) -> tuple[list[int], list[Any]]:
    done = _done(requests)
    pairs = zip(done, _filled(statuses, len(done)), strict=True)
    return done, [requests[i]._settle(status) for i, status in pairs]  # noqa: SLF001


def _done(requests: Sequence[Request]) -> list[int]:
    """Positions of active requests that may be completed."""
    return [i for i, r in enumerate(requests) if r and r._is_done]  # noqa: SLF001


def _enter(name: str, requests: Sequence[Request]) -> Simulation:
    here = current()
    assert here is not None, "a request lives only on a rank"
    pending = [r._operation for r in requests if not r._is_done]  # noqa: SLF001
    what = " and ".join(str(operation.call) for operation in pending[:3] if operation is not None)
    more = f" and {len(pending) - 3} more" if len(pending) > 3 else ""
    here[0].enter(f"{name} for {what}{more}" if what else f"{name}()")
    return here[0]


def _filled(statuses: list[Status] | None, count: int) -> list[Status] | list[None]:
    """A status per request; a list that is too short is made longer, as mpi4py does."""
    if statuses is None:
        return [None] * count
    statuses.extend(Status() for _ in range(count - len(statuses)))
    return statuses[:count]
