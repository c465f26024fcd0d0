"""Append-only record files that survive kill -9, a full disk and concurrent writers.

A log is a folder of JSON-lines files. Every writer has a file of its own, named after its host,
process and start, so that no two machines ever append to one file (shared appends are not safe on
network file systems). A record is one line

    {"crc":3735928559,"record":{"schema":"outpace.trialrecord/1","value":{...}}}

whose CRC-32 covers the bytes of `record`. It is written by one `write` and synced before `append`
returns: a record that was acknowledged is on disk, and one that was not is a torn line that readers
skip. A newline stands before the line as well as after it, so that damage to one never takes a
neighbour along. After a failed write the file is left behind and the next record opens a new one.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from outpace.codec import Value, decode, encode
from outpace.errors import CodecError, NewerSchemaError, StorageError
from outpace.kernels.durable import make_folder, sync_folder


def now() -> str:
    """UTC time in ISO 8601 with microseconds; such strings sort by time."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Record(Value, frozen=True, kw_only=True):
    """Base of everything that is logged."""

    time: str = msgspec.field(default_factory=now)
    """When it was made: UTC, ISO 8601."""


class Reading(NamedTuple):
    """What a log holds.

    Attributes:
        records: In time order; records of one writer keep the order in which it wrote them.
        damaged: Lines that were torn or changed, and were skipped.
        newer: Records that only a newer outpace understands, and were skipped.
    """

    records: list[Record]
    damaged: int
    newer: int

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for a person about each kind of line that was skipped."""
        notes = []
        if self.damaged:
            notes.append(f"skipped {self.damaged} line(s) that were cut short or damaged")
        if self.newer:
            notes.append(f"skipped {self.newer} record(s) written by a newer outpace")
        return tuple(notes)


class _Line(msgspec.Struct):
    crc: int
    record: msgspec.Raw


class _Header(msgspec.Struct):
    schema: str


class RecordLog:
    """The records in one folder; the folder is made by the first `append`.

    Args:
        folder: Where the files are.
        kinds: The record types this log may hold.
    """

    def __init__(self, folder: Path, kinds: tuple[type[Record], ...]) -> None:
        self.folder = folder
        self._kinds = {f"outpace.{kind.__name__.lower()}": kind for kind in kinds}
        self._fd: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; a later `append` starts another one."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):  # every record was synced when it was appended
                os.close(fd)

    def append(self, record: Record) -> None:
        """Store a record; when this returns, it survives a crash of the process and the machine.

        Raises:
            StorageError: It could not be stored. What was stored before is intact, and `append`
                may be called again.
        """
        line = encode_line(record)
        try:
            if self._fd is None:
                self._fd = create_file(self.folder / _file_name())
            write_synced(self._fd, line)
        except OSError as error:
            self.close()
            raise cannot_write(self.folder, error) from error

    def read(self) -> Reading:
        """Everything that all writers stored, damaged and newer lines skipped.

        Raises:
            StorageError: A file is there but cannot be read.
        """
        stamped: list[tuple[str, Record]] = []
        damaged = newer = 0
        for path in record_files(self.folder):
            latest = ""
            for line in _lines(path):
                try:
                    record = self._decoded(line)
                except NewerSchemaError:
                    newer += 1
                except CodecError:
                    damaged += 1
                else:
                    # A clock that is set back must not reorder what one writer wrote.
                    latest = max(latest, record.time)
                    stamped.append((latest, record))
        stamped.sort(key=lambda pair: pair[0])
        return Reading([record for _, record in stamped], damaged, newer)

    def _decoded(self, line: bytes) -> Record:
        try:
            outer = msgspec.json.decode(line, type=_Line)
            body = bytes(outer.record)
            if zlib.crc32(body) != outer.crc:
                raise CodecError("the checksum does not match")
            schema = msgspec.json.decode(body, type=_Header).schema
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise CodecError(f"not a record: {error}") from error
        kind = self._kinds.get(schema.partition("/")[0])
        if kind is None:
            raise NewerSchemaError(f"this outpace does not know {schema!r}")
        return decode(body, kind)


def encode_line(record: Record) -> bytes:
    """The line that stores a record, between newlines."""
    body = encode(record)
    return b'\n{"crc":%d,"record":%s}\n' % (zlib.crc32(body), body)


def record_files(folder: Path) -> list[Path]:
    """The files of a log, none if the folder does not exist; a file stands for itself.

    Raises:
        StorageError: The folder is there but cannot be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".jsonl")
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        return [folder]
    except OSError as error:
        raise cannot_read(folder, error) from error


def create_file(path: Path) -> int:
    """A descriptor that appends to a new file; the file's name is on disk when this returns.

    Raises:
        FileExistsError: The file exists; of several processes that try, exactly one succeeds.
        OSError: It cannot be made.
    """
    make_folder(path.parent)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(path, flags, 0o666)
    try:
        sync_folder(path.parent)
    except OSError:
        os.close(fd)
        raise
    return fd


def write_synced(fd: int, line: bytes) -> None:
    """Write a line in one piece and wait until it is on disk; raises OSError."""
    written = os.write(fd, line)
    if written != len(line):
        raise OSError(f"only {written} of {len(line)} bytes fitted")
    os.fsync(fd)


def cannot_write(folder: Path, error: OSError) -> StorageError:
    """What to tell a person whose record could not be stored."""
    return StorageError(
        f"could not write to {folder}: {error.strerror or error}. Free space there or make the "
        "folder writable (XDG_STATE_HOME moves it), then run the same command again: "
        "everything stored so far is intact and is used again."
    )


def cannot_read(path: Path, error: OSError) -> StorageError:
    """What to tell a person whose records could not be read."""
    return StorageError(
        f"could not read {path}: {error.strerror or error}. Make it readable and run the same "
        "command again; nothing was changed."
    )


def _lines(path: Path) -> list[bytes]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []  # `--fresh` has set the folder aside since it was listed
    except OSError as error:
        raise cannot_read(path, error) from error
    return [line for line in content.split(b"\n") if line]


def _file_name() -> str:
    host = re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())
    return f"{host}-{os.getpid()}-{time.time_ns()}.jsonl"
