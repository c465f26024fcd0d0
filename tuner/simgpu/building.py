"""Compiling drafts for the simulated GPU, and the runtime that they are linked with."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from outpace import environment
from outpace.codec import content_hash
from outpace.errors import EnvironmentError_
from outpace.kernels.languages.compilers import Compiler, CompilerError, identity_of
from outpace.model import Grade, Status
from outpace.tuner.isolation.launch import scratch_in
from outpace.tuner.process import Failure
from outpace.tuner.simgpu.confined import read_grade, start_confined
from outpace.tuner.simgpu.source import NAME, translation_unit

_HERE = Path(__file__).resolve().parent
_INCLUDES = tuple(f"-I{_HERE / name}" for name in ("device", "device/toolkit", "runtime"))
_COMPILERS = ("g++", "c++", "clang++")
_HINT = "install g++ (apt-get install g++); drafts in CUDA cannot be simulated without it"
COMPILE_LIMIT = 120.0
"""Seconds for one draft; templates have taken 10."""
_MEMORY = 4 << 30
_LOG = 8000


class Build(StrEnum):
    """The two ways in which a draft is compiled; the sanitizers exclude each other."""

    RACES = "races"
    SANITIZED = "sanitized"


# Of DWARF 5, the assembler of binutils 2.40 mixes up files.
_COMMON = ("-fno-pie", "-gdwarf-4", "-g1", "-fno-omit-frame-pointer")
_RUNTIME = {
    Build.RACES: ("-std=c++17", "-O2", *_COMMON),
    Build.SANITIZED: ("-std=c++17", "-O2", *_COMMON, "-DSIMGPU_SANITIZED"),
}
_DRAFT = (
    *("-std=gnu++17", "-O1", "-w", *_COMMON, "-fno-exceptions", "-fno-rtti"),
    *("-fno-strict-aliasing", "-ffp-contract=off", "-ftls-model=local-exec", "-fmax-errors=20"),
    "-Dmain=simgpu_main_of_draft",
)
_CHECKS = (
    *("address", "bounds", "alignment", "signed-integer-overflow", "integer-divide-by-zero"),
    # A negative number may be shifted: it has been defined since C++20, and on every GPU.
    *("shift-exponent", "null", "return", "unreachable"),
)
_INSTRUMENTED = {
    # The compiler announces every access; the runtime takes the place of the thread sanitizer.
    Build.RACES: ("-fsanitize=thread", "-fwrapv"),
    Build.SANITIZED: (f"-fsanitize={','.join(_CHECKS)}", "-fno-sanitize-recover=all"),
}
_OPTIONAL = {
    # Local variables that are read before they are written hold what makes results wrong.
    Build.RACES: ("-ftrivial-auto-var-init=pattern", "--param=tsan-distinguish-volatile=1"),
    Build.SANITIZED: ("-ftrivial-auto-var-init=pattern",),
}
"""What not every compiler can: they came with GCC 12 and 11."""
_LINKED = {Build.RACES: (), Build.SANITIZED: ("-fsanitize=address",)}


@dataclass(frozen=True)
class Program:
    """A compiled draft.

    Attributes:
        path: The executable, in the folder `build` of the draft's folder.
        build: How it was compiled.
        kernels: Names in the order in which calls number them.
    """

    path: Path
    build: Build
    kernels: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The draft's folder."""
        return self.path.parent.parent


def find_cxx() -> Compiler:
    """The first C++ compiler on PATH.

    Raises:
        EnvironmentError_: There is none; the message says how to get one.
    """
    for name in _COMPILERS:
        path = shutil.which(name)
        if path is not None:
            return Compiler((path,), identity_of(Path(path)))
    raise EnvironmentError_(f"there is no C++ compiler; {_HINT}")


def unavailable() -> str | None:
    """Why drafts cannot be simulated here, or None; compiles the runtime the first time."""
    try:
        for build in Build:
            runtime_object(find_cxx(), build)
    except EnvironmentError_ as error:
        return str(error)
    return None


def runtime_object(compiler: Compiler, build: Build) -> Path:
    """The compiled runtime, made once and kept in the cache folder; takes 3 s.

    Raises:
        EnvironmentError_: The compiler cannot compile it, or the folder cannot be written.
    """
    sources = sorted(p for name in ("runtime", "device") for p in (_HERE / name).glob("*.*"))
    texts = [[path.name, path.read_text(encoding="utf-8")] for path in sources]
    key = content_hash([texts, list(compiler.command), compiler.identity, list(_RUNTIME[build])])
    folder = environment.cache_dir() / "simgpu"
    found = folder / f"{build}-{key}.o"
    if found.exists():
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            _compile_runtime(compiler, build, Path(name))
            (Path(name) / "runtime.o").replace(found)
    except CompilerError as error:
        first = str(error).partition("\n")[0]
        command = " ".join(compiler.command)
        raise EnvironmentError_(f"{command} cannot compile the simulation ({first})") from error
    except OSError as error:
        raise EnvironmentError_(f"{folder} cannot be written: {error}") from error
    return found


def _compile_runtime(compiler: Compiler, build: Build, folder: Path) -> None:
    """Leave `runtime.o` in a folder, and see that a draft can be compiled and linked with it."""
    source = str(_HERE / "runtime" / "main.cpp")
    compiler.run([*_RUNTIME[build], "-c", source, "-o", "runtime.o"], folder)
    (folder / NAME).touch()
    (folder / "draft.cpp").write_text(translation_unit((), (), ""), encoding="utf-8")
    steps = _steps(compiler, build, folder / "draft.cpp", folder / "runtime.o", folder / "draft")
    for arguments in steps:
        compiler.run(arguments, folder)


@lru_cache
def _optional(compiler: Compiler, build: Build) -> tuple[str, ...]:
    """Those of the optional flags that a compiler takes."""
    taken = []
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "empty.cpp").touch()
        for flag in _OPTIONAL[build]:
            with suppress(CompilerError):
                compiler.run(["-Werror", flag, "-c", "empty.cpp", "-o", "empty.o"], Path(name))
                taken.append(flag)
    return tuple(taken)


def _steps(
    compiler: Compiler, build: Build, unit: Path, runtime: Path, program: Path
) -> list[list[str]]:
    """Arguments of the compiler for a draft: to compile it, then to link it.

    Linked without -fsanitize=thread: the runtime takes the place of the sanitizer's library.
    """
    flags = [*_DRAFT, *_INSTRUMENTED[build], *_optional(compiler, build), *_INCLUDES]
    return [
        [*flags, "-c", str(unit), "-o", f"{program}.o"],
        ["-no-pie", *_LINKED[build], f"{program}.o", str(runtime), "-o", str(program)],
    ]


def build_program(
    unit: str, device: str, kernels: Sequence[str], folder: Path, build: Build, lowest: Grade
) -> Program:
    """Compile a draft, confined.

    Args:
        unit: As `source.translation_unit` gives it.
        device: As `source.device_file` gives it.
        kernels: Names in the order of its table.
        folder: The draft's folder; the executable goes to its folder `build`.
        build: How to compile.
        lowest: Grade of isolation below which nothing is compiled.

    Raises:
        Failure: It does not compile.
        EnvironmentError_: There is no compiler.
    """
    compiler = find_cxx()
    folder = folder.resolve()
    where = folder / "build"
    where.mkdir(exist_ok=True, mode=0o700)
    unit_file, runtime, program = (where / f"{build}{end}" for end in (".cpp", "-runtime.o", ""))
    shutil.copyfile(runtime_object(compiler, build), runtime)
    unit_file.write_text(unit, encoding="utf-8")
    (where / NAME).write_text(device, encoding="utf-8")
    steps = " && ".join(
        shlex.join([*compiler.command, *arguments])
        for arguments in _steps(compiler, build, unit_file, runtime, program)
    )
    _run_confined(["/bin/sh", "-c", steps], folder, lowest)
    program.chmod(0o700)  # confined linkers may not
    return Program(program, build, tuple(kernels))


def _run_confined(command: Sequence[str], folder: Path, lowest: Grade) -> None:
    """Run a compiler that may write to the folder `build` alone."""
    scratch = scratch_in(folder)
    theirs, grades = os.pipe()
    with tempfile.TemporaryFile() as log:
        try:
            child = start_confined(
                command, folder, scratch, building=True, descriptors=[grades], grade=grades,
                lowest=lowest, log=log, memory=_MEMORY,
            )  # fmt: skip
        finally:
            os.close(grades)
        try:
            grade = read_grade(theirs, lowest)
            code = child.wait(COMPILE_LIMIT)
        finally:
            os.close(theirs)
            child.close(sweep=True)
        if code == 0:
            return
        log.seek(0)
        said = log.read().decode(errors="replace").replace(f"{folder / 'build'}/", "")
    if code is None:
        reason = f"does not compile within {COMPILE_LIMIT:.0f} s"
        raise Failure(Status.BUILD_FAILED, reason, said[:_LOG], grade)
    raise _refusal(said, grade)


def _refusal(said: str, grade: Grade) -> Failure:
    """What a compiler's messages become; a failed check of a launch is the plan's fault."""
    first = next((line for line in said.splitlines() if "error: " in line), said.partition("\n")[0])
    check = re.search(r"static assertion failed: (steps\[.*)", first)
    if check:
        return Failure(Status.INVALID, check[1], said[:_LOG], grade)
    unsupported = re.search(rf"(?:{re.escape(NAME)}:(\d+))?.*(unsupported in simulation: .*)", said)
    if unsupported:
        at = f" (line {unsupported[1]})" if unsupported[1] else ""
        return Failure(Status.INCONCLUSIVE, unsupported[2] + at, said[:_LOG], grade)
    return Failure(Status.BUILD_FAILED, f"does not compile: {first}", said[:_LOG], grade)
