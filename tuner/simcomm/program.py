"""Run a program that was written for mpi4py as the ranks of a simulation, without changing it.

Every rank gets modules of its own, as it has in a process of its own: the program as `__main__`,
whatever it imports from its folder, and the global random numbers of Python and NumPy. What lies
elsewhere is shared.
"""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TextIO

from outpace.errors import UsageError
from outpace.tuner.simcomm.communicators import Comm
from outpace.tuner.simcomm.engine import Options, Rank, current
from outpace.tuner.simcomm.module import installed
from outpace.tuner.simcomm.randomness import Randomness
from outpace.tuner.simcomm.run import Outcome, run_ranks
from outpace.tuner.simcomm.unsupported import refuse


def run_program(
    path: Path,
    args: Sequence[str],
    ranks: int,
    *,
    seed: int,
    options: Options,
    output: TextIO | None = None,
) -> Outcome:
    """Run a program once; for a process that does nothing else, because it may leave threads.

    Args:
        path: The program.
        args: Its arguments.
        ranks: How many run it.
        seed: Decides what MPI leaves open.
        options: What the machine is like, and limits.
        output: Gets what ranks print, each line with its rank; None drops it.

    Raises:
        UsageError: It cannot be read, or is no Python.
    """
    code = _compiled(path)
    modules = RankModules(path)
    randomness = Randomness(seed)

    def program(comm: Comm) -> None:
        exec(code, modules.main(comm.rank).__dict__)  # noqa: S102  (it is what was asked for)

    def switch_to(rank: Rank) -> None:
        modules.switch_to(rank)
        randomness.switch_to(rank.index)

    sys.argv[:] = [str(path), *args]
    sys.path.insert(0, str(path.resolve().parent))
    with installed(), modules.imported_anew(), randomness.apart(), _labelled(output), _no_signals():
        return run_ranks(ranks, program, seed=seed, options=options, on_resume=switch_to)


def _compiled(path: Path) -> CodeType:
    try:
        return compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{path} is no Python program: {error}") from error


class RankModules:
    """The modules of every rank that are the program's own.

    Those of the rank whose turn it is stand in `sys.modules`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = path.resolve().parent
        self._names = {"__main__"}
        self._tables: dict[int, dict[str, ModuleType]] = {}
        self._shown: int | None = None

    def main(self, rank: int) -> ModuleType:
        """The module in which a rank runs the program."""
        return self._tables[rank]["__main__"]

    def switch_to(self, rank: Rank) -> None:
        """Put a rank's modules in the place of another's."""
        if self._shown == rank.index:
            return
        if self._shown is not None:
            present = {name: sys.modules.pop(name, None) for name in self._names}
            self._tables[self._shown] = {n: m for n, m in present.items() if m is not None}
        if rank.index not in self._tables:
            main = ModuleType("__main__")
            main.__file__ = str(self._path.absolute())
            self._tables[rank.index] = {"__main__": main}
        sys.modules.update(self._tables[rank.index])
        self._shown = rank.index

    @contextlib.contextmanager
    def imported_anew(self) -> Iterator[None]:
        """Let every rank import modules of the program's folder for itself."""
        finder = _OwnFinder(self._folder, self._names)
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)


class _OwnFinder(MetaPathFinder):
    """Finds modules in a folder, and notes their names."""

    def __init__(self, folder: Path, names: set[str]) -> None:
        self._folder = folder
        self._names = names
        self._libraries = {
            Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")
        }

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """The spec of a module of the program's own, None for others."""
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not self._is_own(spec):
            return None
        self._names.add(fullname)
        if isinstance(spec.loader, SourceFileLoader):
            spec.loader = _WithoutLosingTheTurn(spec.loader)
        return spec

    def _is_own(self, spec: ModuleSpec) -> bool:
        places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
        return any(self._holds(Path(place).resolve()) for place in places)

    def _holds(self, place: Path) -> bool:
        inside = place.is_relative_to(self._folder)
        return inside and not any(place.is_relative_to(library) for library in self._libraries)


class _WithoutLosingTheTurn(Loader):
    """Loads a module while its rank keeps the turn.

    Python holds a lock on the module's name meanwhile, at which another rank would wait for ever.
    """

    def __init__(self, loader: SourceFileLoader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As Python makes it."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        here = current()
        if here is None:
            self._loader.exec_module(module)
            return
        rank = here[1]
        rank.uninterrupted += 1
        try:
            self._loader.exec_module(module)
        finally:
            rank.uninterrupted -= 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class _Labelled(io.TextIOBase):
    """Standard output of all ranks: whole lines, each with the rank that printed it."""

    encoding = "utf-8"

    def __init__(self, target: TextIO | None) -> None:
        self._target = target
        self._begun: dict[int, str] = {}

    @property
    def buffer(self) -> _Bytes:
        """Takes bytes."""
        return _Bytes(self)

    def reconfigure(self, **settings: Any) -> None:
        """Lines are printed when they are complete, whatever is asked for."""
        del settings

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Print the lines that are complete now."""
        here = current()
        if here is None or self._target is None:
            return len(text)
        rank = here[1].index
        *lines, rest = (self._begun.get(rank, "") + text).split("\n")
        self._begun[rank] = rest
        for line in lines:
            self._target.write(f"[{rank}] {line}\n")
        return len(text)

    def end(self) -> None:
        """Print lines that were begun and not ended."""
        if self._target is not None:
            for rank, text in sorted(self._begun.items()):
                if text:
                    self._target.write(f"[{rank}] {text}\n")
            self._target.flush()


class _Bytes(io.RawIOBase):
    """Standard output for programs that write bytes."""

    def __init__(self, text: _Labelled) -> None:
        self._text = text

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Print them as text."""
        return self._text.write(bytes(data).decode("utf-8", "replace"))


@contextlib.contextmanager
def _no_signals() -> Iterator[None]:
    """Refuse handlers of signals: only the main thread can set one, and no rank is that."""
    before = signal.signal
    vars(signal)["signal"] = lambda *_: refuse("signal.signal")
    try:
        yield
    finally:
        vars(signal)["signal"] = before


@contextlib.contextmanager
def _labelled(output: TextIO | None) -> Iterator[None]:
    printed = _Labelled(output)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            yield
        finally:
            printed.end()
