"""Matched probes: a message is set apart when it is found, and received by its handle alone."""

from __future__ import annotations

from typing import Any

from outpace.tuner.simcomm.buffers import Buffer, simple
from outpace.tuner.simcomm.faults import Call
from outpace.tuner.simcomm.messages import Incoming, Operation, Outgoing
from outpace.tuner.simcomm.pointtopoint import PointToPoint, from_text
from outpace.tuner.simcomm.requests import Request
from outpace.tuner.simcomm.status import ANY_SOURCE, ANY_TAG, PROC_NULL, Status
from outpace.tuner.simcomm.unsupported import Partial


class Message(Partial):
    """A message that was found and is still to be received, once."""

    def __init__(self, comm: Matching, send: Outgoing | None) -> None:
        """A handle; `send` is None for a message from PROC_NULL."""
        self._comm = comm
        self._send = send
        self._is_open = True

    def __bool__(self) -> bool:
        return self._is_open

    def Recv(self, buf: Any, status: Status | None = None) -> None:
        self._begun("Message.Recv()", self._target(buf)).wait(status)

    def Irecv(self, buf: Any) -> Request:
        return self._begun("Message.Irecv()", self._target(buf))

    def recv(self, status: Status | None = None) -> Any:
        return self._begun("Message.recv()", None).wait(status)

    def irecv(self) -> Request:
        return self._begun("Message.irecv()", None)

    def _target(self, buf: Any) -> Buffer:
        return simple(None if self._send is None else buf, writable=True)

    def _begun(self, name: str, buffer: Buffer | None) -> Request:
        call = self._comm.enter(name)
        if not self._is_open:
            self._comm.reject("the message has been received already")
        self._is_open = False
        return Request(self._comm.receive_found(call, buffer, self._send))


class Matching(PointToPoint):
    """The matched probes of a communicator."""

    def Mprobe(
        self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None
    ) -> Message:
        call = self.enter(f"Mprobe({from_text(source, tag)})")
        wanted = self._wanted(call, source, tag)
        self._simulation.wait_for(lambda: self._look(wanted) is not None)
        return self._set_apart(wanted, status)

    def Improbe(
        self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None
    ) -> Message | None:
        call = self.enter(f"Improbe({from_text(source, tag)})")
        wanted = self._wanted(call, source, tag)
        if self._look(wanted) is None:
            self._simulation.polled_in_vain()
            return None
        return self._set_apart(wanted, status)

    mprobe = Mprobe
    improbe = Improbe

    def receive_found(self, call: Call, buffer: Buffer | None, send: Outgoing | None) -> Operation:
        """Begin to receive a message that was set apart, or nothing from PROC_NULL."""
        if send is None:
            return self._nothing(call)
        self._check_room(buffer)
        receive = Incoming(
            self._simulation,
            self._owner,
            call,
            send.box,
            source=send.source,
            tag=send.tag,
            buffer=buffer,
        )
        receive.register()
        send.box.take(send, receive)
        self._simulation.discount()
        return receive

    def _set_apart(self, wanted: Incoming, status: Status | None) -> Message:
        found = Status()
        found.fill(PROC_NULL, ANY_TAG, 0)
        send = None if wanted.source == PROC_NULL else wanted.box.find(wanted)
        if send is not None:
            send.is_found = True
            found.fill(send.source, send.tag, send.size)
        if status is not None:
            status.copy_from(found)
        return Message(self, send)
