"""What a draft's process sees of the file system: what it needs to run, and no more.

The same list serves Landlock, which refuses everything else, and the mount namespace, in which
nothing else exists.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from outpace import environment

_SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/sys/devices/system",
    "/sys/kernel/mm",
)
"""Where programs and libraries are installed, what compilers ask for, and the cores."""
_GPU_SYSTEM = ("/sys", "/etc/nvidia")
"""What the driver for NVIDIA's GPUs asks for besides: buses, modules, memory, its settings."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_COMPILERS = ("cc", "gcc", "clang", "as", "ld")
_PACKAGES = ("outpace", "numpy", "numba", "llvmlite", "msgspec")


@dataclass(frozen=True)
class View:
    """What one process may see.

    Attributes:
        readable: Files, and folders with all below.
        folder: The draft's folder, readable with all below.
        scratch: A folder of this process alone, inside `folder`; writable.
        build: The folder inside `folder` that holds what was compiled; None before it is there.
        building: Whether `build` is writable.
        devices: Device files, those of a GPU among them where one is used.
    """

    readable: tuple[str, ...]
    folder: str
    scratch: str
    build: str | None
    building: bool
    devices: tuple[str, ...] = DEVICES

    @property
    def writable(self) -> tuple[str, ...]:
        """Folders in which files may be made."""
        if self.building and self.build is not None:
            return self.scratch, self.build
        return (self.scratch,)

    def with_gpu(self) -> View:
        """The same, and what the driver of a GPU needs."""
        readable = outermost([*self.readable, *gpu_paths()])
        return replace(self, readable=readable, devices=(*self.devices, *gpu_devices()))


def module_path() -> tuple[str, ...]:
    """`sys.path` of a draft's process: installed packages and outpace, nothing of the user's own.

    An empty entry would mean the process's own folder, where a draft could put modules.
    """
    packages = _package_parents()
    kept = [
        entry
        for entry in (str(Path(entry).absolute()) for entry in sys.path if entry)
        if Path(entry).name in ("site-packages", "dist-packages")
        or any(_is_within(entry, prefix) for prefix in _prefixes())
    ]
    return tuple(dict.fromkeys([*kept, *packages]))


def readable_paths() -> tuple[str, ...]:
    """What any draft's process may read besides its own folder, outermost folders only."""
    found = [
        *_SYSTEM,
        *_prefixes(),
        *module_path(),
        *_real_packages(),
        *_compiler_folders(),
        *_mapped_folders(),
        *(str(folder) for folder in environment.readable_folders()),
    ]
    home = str(Path.home())  # never as a whole, wherever Python or a compiler may lie in it
    return outermost(p for p in found if Path(p).exists() and not _is_within(home, p))


def gpu_devices() -> tuple[str, ...]:
    """NVIDIA's device files here, folders of them included; none where there is no driver."""
    return tuple(sorted(str(path) for path in Path("/dev").glob("nvidia*")))


def gpu_paths() -> tuple[str, ...]:
    """What the process of a kernel on a GPU may read besides `readable_paths`."""
    folders = [*_GPU_SYSTEM, *(str(folder) for folder in environment.gpu_folders())]
    home = str(Path.home())
    return tuple(p for p in folders if Path(p).exists() and not _is_within(home, p))


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Paths that lie in no other of them, shortest first."""
    kept: list[str] = []
    for path in sorted(set(paths), key=lambda p: (len(p), p)):
        if not any(_is_within(path, other) for other in kept):
            kept.append(path)
    return tuple(kept)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _prefixes() -> tuple[str, ...]:
    """Where this Python and its libraries are; a virtual environment has two of them."""
    real = Path(sys.executable).resolve().parent.parent
    return tuple(
        {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, str(real)} - {"/"}
    )


def _package_parents() -> tuple[str, ...]:
    """Folders from which the packages that a draft's process imports are found."""
    places = [spec.origin for name in _PACKAGES if (spec := importlib.util.find_spec(name))]
    return tuple(dict.fromkeys(str(Path(place).parent.parent) for place in places if place))


def _real_packages() -> Sequence[str]:
    """Where the rooms of outpace lie when they are links, as in a working tree."""
    spec = importlib.util.find_spec("outpace")
    assert spec is not None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    return [str(path.resolve()) for folder in folders for path in folder.iterdir() if path.is_dir()]


def _compiler_folders() -> list[str]:
    """Folders of the compilers on the path; for one in `<prefix>/bin` all of the prefix."""
    folders = []
    named = environment.c_compiler().split()[:1]
    for command in (found for name in (*named, *_COMPILERS) if (found := shutil.which(name))):
        for place in (Path(command).absolute(), Path(command).resolve()):
            folders.append(str(place.parent))
            if place.parent.name == "bin":
                folders.append(str(place.parent.parent))
    return folders


def _mapped_folders() -> list[str]:
    """Folders of the libraries that this process has loaded: NumPy's may be anywhere."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    files = {line.partition("/")[2] for line in lines if ".so" in line and "/" in line}
    return [str(Path(f"/{file}").parent) for file in files]
