"""NVIDIA's runtime compiler, which makes cubins for any architecture on machines without a GPU.

It is called through ctypes (`nvrtc.h`), so that compiling needs no CuPy. The library and the
headers come from the wheels of the extras `cuda12` and `cuda13`, else from a toolkit of the system.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from outpace.errors import EnvironmentError_

HINT = (
    "install the extra for the driver's CUDA version, `pip install 'outpace[cuda13]'` or "
    "`'outpace[cuda12]'`; it works without a GPU too"
)
_TOOLKIT = Path("/usr/local/cuda")


class CompileError(Exception):
    """The compiler refused; the text is its log."""


@dataclass(frozen=True)
class Compiled:
    """What a compilation gave.

    Attributes:
        cubin: Machine code for one architecture.
        symbols: Names in the cubin by the expressions that were asked for.
        log: What compiler and assembler said.
    """

    cubin: bytes
    symbols: dict[str, str]
    log: str


@dataclass(frozen=True)
class Nvrtc:
    """A loaded compiler.

    Attributes:
        path: Of its library.
        includes: Folders with the headers of the toolkit.
    """

    path: Path
    includes: tuple[Path, ...]

    @property
    def version(self) -> str:
        """Such as `13.0`."""
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        return f"{major.value}.{minor.value}"

    @property
    def architectures(self) -> tuple[str, ...]:
        """For which it compiles, such as `sm_90`."""
        count = ctypes.c_int()
        self._call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        numbers = (ctypes.c_int * count.value)()
        self._call("nvrtcGetSupportedArchs", numbers)
        return tuple(f"sm_{number}" for number in numbers)

    def compile(
        self,
        source: str,
        options: Sequence[str],
        expressions: Sequence[str],
        headers: Mapping[str, str],
    ) -> Compiled:
        """Compile to a cubin.

        Args:
            source: CUDA C++ device code.
            options: As the compiler takes them; the architecture must be a real one.
            expressions: Of kernels whose names in the cubin are wanted.
            headers: Texts by the name under which they are included.

        Raises:
            CompileError: It does not compile.
            EnvironmentError_: The compiler itself fails.
        """
        program = ctypes.c_void_p()
        names = [name.encode() for name in headers]
        texts = [text.encode() for text in headers.values()]
        array = ctypes.c_char_p * len(headers)
        self._call(
            "nvrtcCreateProgram",
            *(ctypes.byref(program), source.encode(), b"draft.cu"),
            *(len(headers), array(*texts), array(*names)),
        )
        try:
            for expression in expressions:
                self._call("nvrtcAddNameExpression", program, expression.encode())
            given = [option.encode() for option in (*options, *self._include_options)]
            status = self._library.nvrtcCompileProgram(
                program, len(given), (ctypes.c_char_p * len(given))(*given)
            )
            log = self._text(program)
            if status != 0:
                raise CompileError(log.strip() or self._said(status))
            symbols = {name: self._symbol(program, name) for name in expressions}
            return Compiled(self._cubin(program), symbols, log)
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    @property
    def _library(self) -> ctypes.CDLL:
        return _loaded(self.path)

    @property
    def _include_options(self) -> list[str]:
        return [f"--include-path={folder}" for folder in self.includes]

    def _text(self, program: ctypes.c_void_p) -> str:
        size = ctypes.c_size_t()
        self._call("nvrtcGetProgramLogSize", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self._call("nvrtcGetProgramLog", program, text)
        return text.value.decode(errors="replace")

    def _cubin(self, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._call("nvrtcGetCUBINSize", program, ctypes.byref(size))
        cubin = ctypes.create_string_buffer(size.value)
        self._call("nvrtcGetCUBIN", program, cubin)
        return cubin.raw

    def _symbol(self, program: ctypes.c_void_p, expression: str) -> str:
        name = ctypes.c_char_p()
        self._call("nvrtcGetLoweredName", program, expression.encode(), ctypes.byref(name))
        return (name.value or b"").decode()

    def _call(self, function: str, *arguments: object) -> None:
        status = self._library[function](*arguments)
        if status != 0:
            raise EnvironmentError_(
                f"{function} of {self.path} fails: {self._said(status)}; reinstall it or {HINT}"
            )

    def _said(self, status: int) -> str:
        describe = self._library.nvrtcGetErrorString
        describe.restype = ctypes.c_char_p
        return str((describe(status) or b"").decode())


@lru_cache(maxsize=1)
def find_nvrtc() -> Nvrtc:
    """The compiler of this machine: of the wheels, else of the system.

    Raises:
        EnvironmentError_: There is none, or it cannot be loaded; the message says how to get one.
    """
    path, includes = _in_wheels() or _in_system() or (None, ())
    if path is None:
        raise EnvironmentError_(f"NVRTC, the compiler for CUDA, is not installed; {HINT}")
    try:
        _loaded(path)
    except OSError as error:
        raise EnvironmentError_(f"NVRTC cannot be loaded: {error}; {HINT}") from error
    return Nvrtc(path, includes)


@lru_cache(maxsize=2)
def _loaded(path: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(path))


def _in_wheels() -> tuple[Path, tuple[Path, ...]] | None:
    """Newest library below the namespace package `nvidia`, and the headers of its version.

    CUDA 13 has one folder for all, CUDA 12 one for each part of the toolkit.
    """
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(entry) for entry in (spec.submodule_search_locations or ())] if spec else []
    found = [path for root in roots for path in root.glob("*/lib/libnvrtc.so.*")]
    if not found:
        return None
    library = max(found, key=lambda path: int(path.name.rpartition(".")[2]))
    home = library.parents[1]
    parts = [home] if home.name != "cuda_nvrtc" else sorted(home.parent.glob("cuda_*"))
    return library, _headers(parts)


def _in_system() -> tuple[Path, tuple[Path, ...]] | None:
    candidates = [*sorted(_TOOLKIT.glob("lib64/libnvrtc.so"))]
    named = ctypes.util.find_library("nvrtc")
    candidates += [Path(named)] if named else []
    return (candidates[0], _headers([_TOOLKIT])) if candidates else None


def _headers(homes: Sequence[Path]) -> tuple[Path, ...]:
    """Folders of headers; those of the core libraries have one of their own since CUDA 13."""
    folders = [home / "include" / part for home in homes for part in ("", "cccl")]
    return tuple(folder for folder in folders if folder.is_dir())
