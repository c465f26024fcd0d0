"""Messages from one rank to another: sends, receives, probes, in every mode of MPI."""

from __future__ import annotations

import pickle
from enum import Enum
from typing import Any

from outpace.tuner.simcomm.buffers import Buffer, simple
from outpace.tuner.simcomm.context import TAG_UB, Handle
from outpace.tuner.simcomm.faults import Call
from outpace.tuner.simcomm.messages import Incoming, Operation, Outgoing, Payload, size_of
from outpace.tuner.simcomm.requests import Prequest, Request
from outpace.tuner.simcomm.status import ANY_SOURCE, ANY_TAG, PROC_NULL, Status


class Mode(Enum):
    """When a send is complete: its letter in MPI's names."""

    STANDARD = ""
    SYNCHRONOUS = "s"
    BUFFERED = "b"
    READY = "r"


class PointToPoint(Handle):
    """The calls of a communicator that concern two ranks."""

    # --- Buffers --------------------------------------------------------------------------------

    def Send(self, buf: Any, dest: int, tag: int = 0) -> None:
        self._send("Send", buf, dest, tag)

    def Ssend(self, buf: Any, dest: int, tag: int = 0) -> None:
        self._send("Ssend", buf, dest, tag, Mode.SYNCHRONOUS)

    def Bsend(self, buf: Any, dest: int, tag: int = 0) -> None:
        self._send("Bsend", buf, dest, tag, Mode.BUFFERED)

    def Rsend(self, buf: Any, dest: int, tag: int = 0) -> None:
        self._send("Rsend", buf, dest, tag, Mode.READY)

    def Recv(
        self,
        buf: Any,
        source: int = ANY_SOURCE,
        tag: int = ANY_TAG,
        status: Status | None = None,
    ) -> None:
        call = self.enter(f"Recv({from_text(source, tag)})")
        self._finish(self._begin_receive(call, _target(buf, source), source, tag), status)

    def Sendrecv(
        self,
        sendbuf: Any,
        dest: int,
        sendtag: int = 0,
        recvbuf: Any = None,
        source: int = ANY_SOURCE,
        recvtag: int = ANY_TAG,
        status: Status | None = None,
    ) -> None:
        call = self.enter(f"Sendrecv(dest={_NAMES.get(dest, dest)}, {from_text(source, recvtag)})")
        receive = self._begin_receive(call, _target(recvbuf, source), source, recvtag)
        send = self._begin_send(call, _origin(sendbuf, dest), dest, sendtag)
        self._simulation.wait_for(lambda: send.done and receive.done)
        send.settle()
        self._finish(receive, status)

    def Sendrecv_replace(
        self,
        buf: Any,
        dest: int,
        sendtag: int = 0,
        source: int = ANY_SOURCE,
        recvtag: int = ANY_TAG,
        status: Status | None = None,
    ) -> None:
        call = self.enter(
            f"Sendrecv_replace(dest={_NAMES.get(dest, dest)}, {from_text(source, recvtag)})"
        )
        buffer = _target(buf, PROC_NULL if source == dest == PROC_NULL else 0)
        self._check_room(buffer)
        payload = buffer.pack()
        receive = self._begin_receive(call, buffer, source, recvtag)
        send = self._begin_send(call, payload, dest, sendtag)
        self._simulation.wait_for(lambda: send.done and receive.done)
        send.settle()
        self._finish(receive, status)

    def Isend(self, buf: Any, dest: int, tag: int = 0) -> Request:
        return self._isend("Isend", buf, dest, tag)

    def Issend(self, buf: Any, dest: int, tag: int = 0) -> Request:
        return self._isend("Issend", buf, dest, tag, Mode.SYNCHRONOUS)

    def Ibsend(self, buf: Any, dest: int, tag: int = 0) -> Request:
        return self._isend("Ibsend", buf, dest, tag, Mode.BUFFERED)

    def Irsend(self, buf: Any, dest: int, tag: int = 0) -> Request:
        return self._isend("Irsend", buf, dest, tag, Mode.READY)

    def Irecv(self, buf: Any, source: int = ANY_SOURCE, tag: int = ANY_TAG) -> Request:
        call = self.enter(f"Irecv({from_text(source, tag)})")
        return Request(self._begin_receive(call, _target(buf, source), source, tag))

    # --- Persistent -----------------------------------------------------------------------------

    def Send_init(self, buf: Any, dest: int, tag: int = 0) -> Prequest:
        return self._send_init("Send", buf, dest, tag, Mode.STANDARD)

    def Ssend_init(self, buf: Any, dest: int, tag: int = 0) -> Prequest:
        return self._send_init("Ssend", buf, dest, tag, Mode.SYNCHRONOUS)

    def Bsend_init(self, buf: Any, dest: int, tag: int = 0) -> Prequest:
        return self._send_init("Bsend", buf, dest, tag, Mode.BUFFERED)

    def Recv_init(self, buf: Any, source: int = ANY_SOURCE, tag: int = ANY_TAG) -> Prequest:
        name = f"Recv_init({from_text(source, tag)})"
        self.enter(name)
        buffer = _target(buf, source)
        return Prequest(lambda call: self._begin_receive(call, buffer, source, tag), name)

    # --- Objects --------------------------------------------------------------------------------

    def send(self, obj: Any, dest: int, tag: int = 0) -> None:
        self._send_object("send", obj, dest, tag)

    def ssend(self, obj: Any, dest: int, tag: int = 0) -> None:
        self._send_object("ssend", obj, dest, tag, Mode.SYNCHRONOUS)

    def bsend(self, obj: Any, dest: int, tag: int = 0) -> None:
        self._send_object("bsend", obj, dest, tag, Mode.BUFFERED)

    def recv(
        self,
        buf: Any = None,
        source: int = ANY_SOURCE,
        tag: int = ANY_TAG,
        status: Status | None = None,
    ) -> Any:
        del buf  # only a hint of how large the pickled object may be
        call = self.enter(f"recv({from_text(source, tag)})")
        return self._finish(self._begin_receive(call, None, source, tag), status)

    def sendrecv(
        self,
        sendobj: Any,
        dest: int,
        sendtag: int = 0,
        recvbuf: Any = None,
        source: int = ANY_SOURCE,
        recvtag: int = ANY_TAG,
        status: Status | None = None,
    ) -> Any:
        del recvbuf
        call = self.enter(f"sendrecv(dest={_NAMES.get(dest, dest)}, {from_text(source, recvtag)})")
        receive = self._begin_receive(call, None, source, recvtag)
        send = self._begin_send(call, pickle.dumps(sendobj), dest, sendtag)
        self._simulation.wait_for(lambda: send.done and receive.done)
        send.settle()
        return self._finish(receive, status)

    def isend(self, obj: Any, dest: int, tag: int = 0) -> Request:
        return self._isend_object("isend", obj, dest, tag)

    def issend(self, obj: Any, dest: int, tag: int = 0) -> Request:
        return self._isend_object("issend", obj, dest, tag, Mode.SYNCHRONOUS)

    def ibsend(self, obj: Any, dest: int, tag: int = 0) -> Request:
        return self._isend_object("ibsend", obj, dest, tag, Mode.BUFFERED)

    def irecv(self, buf: Any = None, source: int = ANY_SOURCE, tag: int = ANY_TAG) -> Request:
        del buf
        call = self.enter(f"irecv({from_text(source, tag)})")
        return Request(self._begin_receive(call, None, source, tag))

    # --- Probes ---------------------------------------------------------------------------------

    def Probe(
        self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None
    ) -> bool:
        call = self.enter(f"Probe({from_text(source, tag)})")
        wanted = self._wanted(call, source, tag)
        self._simulation.wait_for(lambda: self._look(wanted) is not None)
        return self._report(wanted, status)

    def Iprobe(
        self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None
    ) -> bool:
        call = self.enter(f"Iprobe({from_text(source, tag)})")
        found = self._report(self._wanted(call, source, tag), status)
        if not found:
            self._simulation.polled_in_vain()
        return found

    probe = Probe
    iprobe = Iprobe

    def _wanted(self, call: Call, source: int, tag: int) -> Incoming:
        """A receive that is only looked for, never begun."""
        if source != ANY_SOURCE:
            self.check_peer("source", source)
        box = self.context.mailbox(self._rank)
        return Incoming(self._simulation, self._owner, call, box, source=source, tag=tag)

    def _look(self, wanted: Incoming) -> Status | None:
        found = Status()
        if wanted.source == PROC_NULL:
            found.fill(PROC_NULL, ANY_TAG, 0)
            return found
        send = wanted.box.find(wanted)
        if send is None:
            return None
        found.fill(send.source, send.tag, size_of(send.payload))
        return found

    def _report(self, wanted: Incoming, status: Status | None) -> bool:
        found = self._look(wanted)
        if found is not None and status is not None:
            status.copy_from(found)
        return found is not None

    # --- Within ---------------------------------------------------------------------------------

    def _send(self, name: str, buf: Any, dest: int, tag: int, mode: Mode = Mode.STANDARD) -> None:
        call = self.enter(f"{name}({_to(dest, tag)})")
        self._finish(self._begin_send(call, _origin(buf, dest), dest, tag, mode))

    def _isend(
        self, name: str, buf: Any, dest: int, tag: int, mode: Mode = Mode.STANDARD
    ) -> Request:
        call = self.enter(f"{name}({_to(dest, tag)})")
        return Request(self._begin_send(call, _origin(buf, dest), dest, tag, mode))

    def _send_init(self, name: str, buf: Any, dest: int, tag: int, mode: Mode) -> Prequest:
        shown = f"{name}_init({_to(dest, tag)})"
        self.enter(shown)
        buffer = _origin(buf, dest)
        return Prequest(lambda call: self._begin_send(call, buffer, dest, tag, mode), shown)

    def _send_object(
        self, name: str, obj: Any, dest: int, tag: int, mode: Mode = Mode.STANDARD
    ) -> None:
        call = self.enter(f"{name}({_to(dest, tag)})")
        self._finish(self._begin_send(call, pickle.dumps(obj), dest, tag, mode))

    def _isend_object(
        self, name: str, obj: Any, dest: int, tag: int, mode: Mode = Mode.STANDARD
    ) -> Request:
        call = self.enter(f"{name}({_to(dest, tag)})")
        return Request(self._begin_send(call, pickle.dumps(obj), dest, tag, mode))

    def _begin_send(
        self,
        call: Call,
        what: Buffer | Payload,
        dest: int,
        tag: int,
        mode: Mode = Mode.STANDARD,
    ) -> Operation:
        self.check_peer("destination", dest)
        if not 0 <= tag <= TAG_UB:
            self.reject(f"tag {tag} of a send is not within 0 and {TAG_UB}")
        if dest == PROC_NULL:
            return self._nothing(call)
        buffer = what if isinstance(what, Buffer) else None
        self._check_room(buffer)
        payload = what.pack() if isinstance(what, Buffer) else what
        box = self.context.mailbox(dest)
        send = Outgoing(
            self._simulation,
            self._owner,
            call,
            box,
            payload=payload,
            source=self._rank,
            tag=tag,
            buffer=buffer,
        )
        send.register()
        self._let_go(send, mode)
        self._owner.messages_sent += 1
        self._owner.bytes_sent += size_of(payload)
        box.post_send(send)
        self._simulation.discount()
        return send

    def _let_go(self, send: Outgoing, mode: Mode) -> None:
        """Mark a send as done that need not wait for its receiver."""
        size = size_of(send.payload)
        if mode is Mode.BUFFERED:
            if size > self._owner.attached:
                self.reject(
                    f"{size} bytes, but buffers of {self._owner.attached} bytes are attached; "
                    "call MPI.Attach_buffer"
                )
            send.finish(send.begun)
        if mode is Mode.READY and not any(r.accepts(send) for r in send.box.receives):
            self.reject("a ready send came before its receive was begun")
        if mode is Mode.STANDARD and size < self._simulation.options.eager_bytes:
            send.finish(send.begun)

    def _begin_receive(self, call: Call, buffer: Buffer | None, source: int, tag: int) -> Operation:
        if source != ANY_SOURCE:
            self.check_peer("source", source)
        if tag != ANY_TAG and not 0 <= tag <= TAG_UB:
            self.reject(f"tag {tag} of a receive is not within 0 and {TAG_UB}, nor ANY_TAG")
        if source == PROC_NULL:
            return self._nothing(call)
        self._check_room(buffer)
        box = self.context.mailbox(self._rank)
        receive = Incoming(
            self._simulation, self._owner, call, box, source=source, tag=tag, buffer=buffer
        )
        receive.register()
        box.post_receive(receive)
        self._simulation.discount()
        return receive

    def _nothing(self, call: Call) -> Operation:
        """A message to or from nobody."""
        operation = Operation(self._simulation, self._owner, call)
        operation.status.fill(PROC_NULL, ANY_TAG, 0)
        operation.register()
        operation.finish(self._owner.clock)
        return operation

    def _finish(self, operation: Operation, status: Status | None = None) -> Any:
        self._simulation.wait_for(lambda: operation.done)
        value = operation.settle()
        if status is not None:
            status.copy_from(operation.status)
        return value

    def _check_room(self, buffer: Buffer | None) -> None:
        if buffer is None:
            return
        if not buffer.datatype.committed:
            self.reject(f"{buffer.datatype} has not been committed")
        if not buffer.fits():
            self.reject(
                f"{buffer.count} items of {buffer.datatype} do not lie within the "
                f"{buffer.memory.size} bytes that were given"
            )


def _origin(buf: Any, dest: int) -> Buffer:
    return simple(None if dest == PROC_NULL else buf, writable=False)


def _target(buf: Any, source: int) -> Buffer:
    return simple(None if source == PROC_NULL else buf, writable=True)


_NAMES = {PROC_NULL: "PROC_NULL", ANY_SOURCE: "ANY_SOURCE", ANY_TAG: "ANY_TAG"}


def _to(dest: int, tag: int) -> str:
    return f"dest={_NAMES.get(dest, dest)}, tag={tag}"


def from_text(source: int, tag: int) -> str:
    """The arguments of a receive, for people."""
    return f"source={_NAMES.get(source, source)}, tag={_NAMES.get(tag, tag)}"
