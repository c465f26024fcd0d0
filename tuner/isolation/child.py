"""A child process that the judge starts, stops, lets go on and ends.

With a `View` it is the first process of new namespaces, a child of this process all the same; see
`namespaces.py`. Without one it is an ordinary child.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from outpace import environment
from outpace.errors import EnvironmentError_
from outpace.tuner.isolation.view import View, module_path, readable_paths

_SPAWNER = (
    "import sys; sys.path[:] = {path!r}; "
    "from outpace.tuner.isolation.namespaces import main; main({setup!r})"
)
_SPAWN_LIMIT = 60.0
_SWEEPS = 100


class Child:
    """One child process; it and its group are killed by `kill` and reaped by `close`.

    Attributes:
        pid: Its number here.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        variables: Mapping[str, str],
        folder: Path | None,
        descriptors: Sequence[int],
        log: IO[bytes],
        view: View | None = None,
    ) -> None:
        """Start it.

        Args:
            command: Program and arguments.
            variables: All of its environment.
            folder: Its working folder, or None for this one; with a view the view's scratch folder.
            descriptors: Descriptors that it inherits, besides `log` as its output.
            log: File for what it prints.
            view: What it sees of the file system, in namespaces of its own; None for an ordinary
                child.

        Raises:
            EnvironmentError_: The namespaces could not be made.
        """
        self._lock = threading.Lock()
        self._is_reaped = False
        self._has_namespaces = view is not None
        self._mark = os.urandom(12).hex()
        status: tuple[int, int] | None = None
        if view is not None:
            status = os.pipe()
            descriptors = [*descriptors, status[1]]
            command = _through_spawner(command, view, status[1])
        try:
            self._started = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**variables, environment.RUN_MARK: self._mark},
                cwd=folder,
                pass_fds=descriptors,
                start_new_session=True,
            )
        except BaseException:
            if status is not None:
                os.close(status[0])
            raise
        finally:
            if status is not None:
                os.close(status[1])
        self.pid = self._started.pid if status is None else _handed_over(self._started, status[0])

    def pause(self) -> None:
        """Stop every thread and wait until they have stopped; does nothing to a dead process."""
        try:
            os.kill(self.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        except (ProcessLookupError, ChildProcessError):
            return

    def resume(self) -> None:
        """Let it go on; does nothing to a dead process."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def is_stopped(self) -> bool:
        """Whether it is stopped, or has ended."""
        options = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
        try:
            return os.waitid(os.P_PID, self.pid, options) is not None
        except ChildProcessError:
            return True

    def kill(self) -> None:
        """Kill it and everything in its group; does nothing once it has been reaped.

        Where namespaces end with their first process, that is everything it has started.
        """
        with self._lock:
            if self._is_reaped:
                return
            for end in (os.kill,) if self._has_namespaces else (os.killpg, os.kill):
                with suppress(ProcessLookupError, PermissionError):
                    end(self.pid, signal.SIGKILL)

    def wait(self, limit: float) -> int | None:
        """Its exit code, or minus the number of the signal that ended it; None if it goes on.

        Args:
            limit: Seconds to wait. It stays a zombie until `close`.
        """
        deadline = time.monotonic() + limit
        while True:
            try:
                ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            except ChildProcessError:  # something else in this process waits for any child
                return 0
            if ended is not None:
                return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
            if time.monotonic() > deadline:
                return None
            time.sleep(0.002)

    def close(self, *, sweep: bool = False) -> None:
        """End it, wait until it has ended, and reap it.

        Args:
            sweep: Look for processes that have left its group, too: for one that nothing kept from
                starting them.
        """
        self.kill()
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if sweep and not self._has_namespaces:
            self._sweep()
        with self._lock, suppress(ChildProcessError):
            if not self._is_reaped:
                self._is_reaped = True
                os.waitpid(self.pid, 0)
        self._started.returncode = 0  # reaped here, behind its back

    def _sweep(self) -> None:
        """Kill whatever carries the mark of this run in its environment, until nothing does."""
        mark = f"{environment.RUN_MARK}={self._mark}".encode()
        for _ in range(_SWEEPS):
            found = [pid for pid in _processes() if pid != self.pid and mark in _variables(pid)]
            if not found:
                return
            for pid in found:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _variables(pid: int) -> list[bytes]:
    """What a process was started with; empty for one that is not ours or has ended."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


# --- namespaces ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def namespaces_refused() -> str | None:
    """Why no namespaces can be had here, or None; tried once, in 0.1 s."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        scratch = Path(folder).resolve() / "scratch"
        scratch.mkdir()
        view = View(readable_paths(), str(scratch.parent), str(scratch), None, building=False)
        command = [sys.executable, "-I", "-S", "-c", "import os; os._exit(os.getpid() != 1)"]
        try:
            child = Child(command, variables={}, folder=None, descriptors=(), log=log, view=view)
        except EnvironmentError_ as error:
            return str(error)
        code = child.wait(_SPAWN_LIMIT)
        child.close()
    return None if code == 0 else f"Python ends with code {code} in a namespace of its own"


def _through_spawner(command: Sequence[str], view: View, status: int) -> list[str]:
    setup = json.dumps(
        {"status": status, "view": asdict(view), "command": list(command), "devices": view.devices}
    )
    code = _SPAWNER.format(path=list(module_path()) + _standard_library(), setup=setup)
    return [sys.executable, "-I", "-S", "-c", code]


def _standard_library() -> list[str]:
    """Where the spawner, which runs without `site`, finds the modules of Python itself."""
    return [str(Path(os.__file__).parent), str(Path(os.__file__).parent / "lib-dynload")]


def _handed_over(spawner: subprocess.Popen[bytes], status: int) -> int:
    """The number of the process that the spawner has started; the spawner has ended.

    Raises:
        EnvironmentError_: It could not.
    """
    told: dict[str, Any] = {}
    try:
        for line in _read_all(status, _SPAWN_LIMIT).splitlines():
            told |= json.loads(line)
    finally:
        os.close(status)
        if "pid" not in told:
            spawner.kill()
        spawner.wait()
    if "error" in told or not told.get("pid"):
        if told.get("pid"):
            with suppress(ChildProcessError, ProcessLookupError):
                os.kill(told["pid"], signal.SIGKILL)
                os.waitpid(told["pid"], 0)
        why = told.get("error", "the spawner ended early")
        raise EnvironmentError_(f"no namespaces for a draft's process: {why}")
    return int(told["pid"])


def _read_all(descriptor: int, limit: float) -> bytes:
    """Everything up to the end of a pipe; what there is when the time is over."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + limit
    data = b""
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        part = os.read(descriptor, 65536)
        if not part:
            break
        data += part
    return data
