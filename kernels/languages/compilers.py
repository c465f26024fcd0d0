"""The C compiler of this machine: finding it, telling it from others, running it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from outpace import environment
from outpace.errors import EnvironmentError_

_CANDIDATES = ("cc", "gcc", "clang")
_HINT = "install gcc or clang (apt-get install gcc libc6-dev), or name a compiler in CC"
_ERROR_LINE = re.compile(r"error: |undefined reference")
_PROGRAM = """\
#include <stdint.h>
#include <math.h>
#include <omp.h>
double f(int64_t n) { return exp((double)(n + omp_get_max_threads())); }
"""


class CompilerError(Exception):
    """The compiler refused; the text is all that it says, below its first error."""


@dataclass(frozen=True)
class Compiler:
    """A compiler command.

    Attributes:
        command: Path of the program, then arguments that CC gives it.
        identity: Changes when the program is replaced; found without running it.
    """

    command: tuple[str, ...]
    identity: str

    def run(self, arguments: Sequence[str], folder: Path) -> None:
        """Run in a folder, which takes its temporary files too.

        Raises:
            CompilerError: It failed.
            EnvironmentError_: It cannot be started.
        """
        try:
            done = run_in(folder, [*self.command, *arguments])
        except OSError as error:
            raise EnvironmentError_(f"{self.command[0]} cannot be run: {error}; {_HINT}") from error
        if done.returncode != 0:
            raise CompilerError(_first_error_on_top(done.stdout, done.returncode))

    @property
    def version(self) -> str | None:
        """First line of what it says to `--version`, or None when it fails."""
        try:
            done = subprocess.run(
                [*self.command, "--version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.partition("\n")[0].strip() or None


def find_compiler() -> Compiler:
    """What CC names, else the first of `cc`, `gcc` and `clang` on PATH.

    Raises:
        EnvironmentError_: There is none; the message says how to get one.
    """
    named = environment.c_compiler()
    try:
        words = shlex.split(named)
    except ValueError as error:
        raise EnvironmentError_(f"CC={named!r} is no command: {error}") from error
    for program, *arguments in [words] if words else [[name] for name in _CANDIDATES]:
        path = shutil.which(program)
        if path is not None:
            return Compiler((path, *arguments), identity_of(Path(path)))
    missing = f"CC names {named!r}, which is not there" if words else "there is no C compiler"
    raise EnvironmentError_(f"{missing}; {_HINT}")


@lru_cache(maxsize=8)
def refusal(compiler: Compiler) -> str | None:
    """Why a compiler cannot make a shared object that uses OpenMP, or None; takes 0.1 s."""
    try:
        with TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "probe.c").write_text(_PROGRAM, encoding="utf-8")
            arguments = ["-std=c17", "-march=native", "-fopenmp", "-fPIC", "-shared", "probe.c"]
            compiler.run([*arguments, "-o", "probe.so", "-lm"], folder)
    except CompilerError as error:
        first = str(error).partition("\n")[0]
        return f"{' '.join(compiler.command)} cannot compile C17 with OpenMP ({first}); {_HINT}"
    except (EnvironmentError_, OSError) as error:
        return str(error)
    return None


def identity_of(path: Path) -> str:
    """The program behind all links, by size and time: running it would take a process."""
    program = path.resolve()
    status = program.stat()
    return f"{program} {status.st_size} {status.st_mtime_ns}"


def run_in(folder: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a compiler in a folder, which takes its temporary files too; `stdout` has all it says.

    Raises:
        OSError: It cannot be started.
    """
    return subprocess.run(
        command,
        cwd=folder,
        env=environment.worker_environment(TMPDIR=str(folder), LC_ALL="C"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _first_error_on_top(output: str, code: int) -> str:
    lines = output.splitlines()
    first = next((line for line in lines if _ERROR_LINE.search(line)), None)
    if first is None:
        return f"the compiler ended with code {code}\n{output}"
    return output if first is lines[0] else f"{first.strip()}\n{output}"
