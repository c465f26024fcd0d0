"""Starting `mpiexec`, and ending all that it has started.

Where namespaces can be had, the whole job runs in a PID namespace of its own with its own
`/dev/shm`: when its first process ends, the kernel ends every rank, and what MPI has left in shared
memory goes with it. Elsewhere processes are found by the mark of the run in their environment.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

import psutil

from outpace import environment
from outpace.errors import EnvironmentError_
from outpace.tuner.isolation.child import Child
from outpace.tuner.isolation.launch import ALLOCATOR

_UNSHARE = (
    # The job ends with the judge, however that ends.
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"),
    *("--mount-proc", "sh", "-c"),
)
_PRIVATE_MEMORY = "mount -t tmpfs none /dev/shm"
_SHARED_WITH_JUDGE = 'mount --bind "$0" "$1"'
_CROWDED = {
    # Where there are more ranks than cores, those that wait give their core to others.
    "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
    "MPIR_CVAR_POLLS_BEFORE_YIELD": "20",
}
_MPICH = {
    # Ranks may not look into each other's memory.
    "MPIR_CVAR_CH4_CMA_ENABLE": "0",
    # This transport starts no threads, which confinement would leave out; what ranks of one machine
    # send each other goes through shared memory all the same.
    "MPIR_CVAR_CH4_NETMOD": "ofi",
    "FI_PROVIDER": "tcp",
}
_OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_smsc": "^cma",
}
_LEFTOVERS = ("mpich_shm_", "ucx_shm_posix_", "sm_segment", "vader_segment")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


def unavailable() -> str | None:
    """Why no ranks can be started here and what to do, or None."""
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed; pip install 'outpace[mpi-local]', which brings MPICH"
    if mpiexec() is None:
        return "there is no mpiexec beside Python nor on PATH; install MPICH or Open MPI"
    return None


def settings(ranks: int) -> dict[str, str]:
    """Variables for the environment of an `mpiexec` on this machine, of MPICH or of Open MPI.

    Args:
        ranks: Number of ranks, of one thread each; there may be more of them than cores.
    """
    one = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    crowded = _CROWDED if ranks > len(os.sched_getaffinity(0)) else {}
    return {**one, **crowded, **_MPICH, **_OPEN_MPI}


def mpiexec() -> str | None:
    """The `mpiexec` of this environment, else the first on PATH."""
    beside = Path(sys.executable).parent / "mpiexec"
    return str(beside) if beside.exists() else shutil.which("mpiexec")


@lru_cache(maxsize=1)
def has_namespaces() -> bool:
    """Whether a job can have its own process numbers and shared memory; tried once."""
    try:
        tried = subprocess.run(
            [*_UNSHARE, _PRIVATE_MEMORY], check=False, capture_output=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


class Job:
    """One `mpiexec` with all its ranks."""

    def __init__(self, ranks: int, code: str, folder: Path, log: IO[bytes], memory: Path) -> None:
        """Start it.

        Args:
            ranks: Number of ranks.
            code: Python source that each of them runs.
            folder: Working folder of all.
            log: File for what they print.
            memory: Folder of memory files; ranks see it as `memory` in their working folder.

        Raises:
            EnvironmentError_: There is no mpi4py or no mpiexec.
        """
        if (reason := unavailable()) is not None:
            raise EnvironmentError_(reason)
        command = [mpiexec() or "", "-n", str(ranks), sys.executable, "-I", "-c", code]
        seen = folder / "memory"
        if has_namespaces():
            seen.mkdir()
            # The arguments of `sh -c` after its script are $0, $1, ...
            script = f'{_SHARED_WITH_JUDGE} && {_PRIVATE_MEMORY} && shift && exec "$@"'
            command = [*_UNSHARE, script, str(memory), str(seen), *command]
        else:
            seen.symlink_to(memory)
        self._before = _left_in_memory()
        special = {**ALLOCATOR, **settings(ranks)}
        variables = environment.worker_environment(HOME=str(folder), TMPDIR=str(folder), **special)
        self._child = Child(command, variables=variables, folder=folder, descriptors=(), log=log)

    def processes(self) -> dict[int, int]:
        """Numbers, as the judge sees them, of all its processes by the numbers they see."""
        found = {}
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self._child.pid).children(recursive=True):
                with suppress(OSError):
                    found[_own_number(process.pid)] = process.pid
        return found

    def wait(self, limit: float) -> int | None:
        """Exit code, minus a signal's number, or None if it goes on after so many seconds."""
        return self._child.wait(limit)

    def close(self) -> None:
        """End every process of it and remove what they left in shared memory."""
        self._child.close(sweep=True)
        if not has_namespaces():
            for path in _left_in_memory() - self._before:
                path.unlink(missing_ok=True)


def memory_folder(folder: Path, needed: int) -> Path:
    """A new folder for memory files: in memory where so many bytes have room, else in `folder`.

    Files on a disk would be written back to it while ranks are timed.
    """
    with suppress(OSError):
        for left in _SHARED_MEMORY.glob("outpace-*-*"):  # by judges that were killed
            owner = left.name.split("-")[1]
            if owner.isdecimal() and not psutil.pid_exists(int(owner)):
                shutil.rmtree(left, ignore_errors=True)
        if shutil.disk_usage(_SHARED_MEMORY).free > 1.2 * needed:
            prefix = f"outpace-{os.getpid()}-"
            return Path(tempfile.mkdtemp(prefix=prefix, dir=_SHARED_MEMORY))
    return Path(tempfile.mkdtemp(prefix="memory-", dir=folder))


def _own_number(pid: int) -> int:
    """What a process is called in its own namespace; raises OSError if it has ended."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return pid


def _left_in_memory() -> set[Path]:
    if not _SHARED_MEMORY.is_dir():
        return set()
    return {path for path in _SHARED_MEMORY.iterdir() if path.name.startswith(_LEFTOVERS)}
