"""A kernel in C, compiled where this program first runs."""

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

COMPILERS = ("cc", "gcc", "clang")
LINKING = ("-shared", "-fopenmp", "-fPIC", "-Wl,-z,defs", "-Wl,-z,noexecstack")
BUILDS = Path(globals().get("BUILDS") or Path.home() / ".cache" / "outpace" / "programs")
"""Where compiled kernels are kept; whoever loads this program may have said where."""


def library_name(source: str, options: tuple[str, ...]) -> str:
    """File name of a compiled kernel: made for one kind of processor, from this text."""
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        named = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    told = "\n".join([source, *options, *LINKING, *sorted(named)])
    return f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.so"


def compiled(source: str, options: tuple[str, ...], folder: Path) -> Path:
    """The shared library of a kernel, which is compiled if it is not in the folder yet.

    Ranks that do so at the same time compile apart, and the file appears whole.
    """
    library = folder / library_name(source, options)
    if library.exists():
        return library
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise RuntimeError(f"the kernel is in C; put one of {', '.join(COMPILERS)} on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as scratch:
        Path(scratch, "kernel.c").write_text(source, encoding="utf-8")
        linking = (*LINKING, "kernel.o", "-lm", "-o", "kernel.so")
        for arguments in ((*options, "-c", "kernel.c"), linking):
            done = subprocess.run(
                [compiler, *arguments], cwd=scratch, check=False, capture_output=True, text=True
            )
            if done.returncode != 0:
                raise RuntimeError(f"{compiler} refuses the kernel:\n{done.stderr}")
        Path(scratch, "kernel.so").replace(library)
    return library


def loaded(source: str, options: tuple[str, ...], parameters: tuple[Any, ...]) -> Any:
    """The entry point of a kernel in C, which takes these types of ctypes."""
    # It keeps the interpreter's lock: kernels with static memory cannot run twice at a time.
    entry = ctypes.PyDLL(str(compiled(source, options, BUILDS))).outpace_entry
    entry.argtypes, entry.restype = parameters, None
    return entry
