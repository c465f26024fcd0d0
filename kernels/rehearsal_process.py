"""A draft called as a promotion is called: by the generated dispatcher, with a caller's own arrays.

The steps of a rehearsal are taken by the top level of the script. While the draft loads or runs, no
frame but that one and those of serving is on the stack.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from outpace import environment
from outpace.codegen.abi import Role, slots
from outpace.kernels import optimize, serve  # noqa: F401  (they are loaded where drafts are served)
from outpace.kernels.dispatcher import Entry, Key, Returns, generate
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import Kernel
from outpace.model import Contract

Step = tuple[Callable[..., Any], list[Any], Callable[[Any], object]]
"""A function, its arguments, and what is to be called with its result."""

_SCRIPT = "main.py"
_FIRST_IN_STAT = 3
"""Number of the first field after the name in `/proc/self/stat`, in proc(5)."""
_ARGUMENTS, _VARIABLES = (48, 49), (50, 51)
"""Fields with the ends of the command line and of the environment."""


class Rehearsed:
    """The kernel behind a dispatcher, which is asked for no more than one call at a time."""

    def __init__(self, contract: Contract, kernel: Kernel, returns: Returns) -> None:
        self.contract = contract
        self._kernel = kernel
        self._known: dict[Key, Entry] = {}
        self._shapes: list[tuple[int, ...]] = []
        dispatcher = generate(contract, returns, self._known, self._decide, _refuse)
        self.fast = dispatcher.fast

    def step(self, batch: list[Any]) -> Step:
        """One call as a step.

        Args:
            batch: In calling order the arguments and the memory for results, which is shared with
                the judge: the call itself gets copies, and none of that memory.
        """
        roles = [slot.role for slot in slots(self.contract)]
        given = [value for value, role in zip(batch, roles, strict=True) if role is not Role.OUTPUT]
        results = [value for value, role in zip(batch, roles, strict=True) if role is Role.OUTPUT]
        own = [v.copy() if isinstance(v, np.ndarray) else v for v in given]
        self._shapes = [array.shape for array in results]

        def hand_over(returned: Any) -> None:
            parts = returned if isinstance(returned, tuple) else (returned,)
            for place, part in zip(results, parts, strict=False):
                place[...] = part
            for place, array, role in zip(given, own, roles, strict=False):
                if role is Role.INOUT:
                    place[...] = array

        return self.fast, own, hand_over

    def _decide(self, key: Key) -> Entry:
        entry = self._known[key] = (self._kernel, *self._shapes)
        return entry


def _refuse(*_: Any) -> Any:
    raise TypeError("the dispatcher would have served the reference")


def steps(
    language: str,
    source: Path,
    contract: Contract,
    cache: Path,
    returns: Returns,
    batches: Iterator[list[list[Any]]],
) -> Iterator[Step]:
    """The steps of a rehearsal: the draft is loaded, then called.

    Args:
        language: It is written in.
        source: Its bound source.
        contract: Of the reference.
        cache: What was built from it.
        returns: Form of the reference's return value.
        batches: The calls that the judge asks for; it has its answer when the next one is taken.
    """
    loaded: list[Kernel] = []
    yield language_named(language).load, [source, contract, cache], loaded.append
    rehearsed = Rehearsed(contract, loaded.pop(), returns)
    for batch in batches:
        for call in batch:
            yield rehearsed.step(call)


def look_ordinary(*, marked: bool) -> None:
    """Take away what tells this process from a user's: modules, command line, the run's mark.

    Args:
        marked: Whether the mark by which the process is found must stay.
    """
    names = [n for n in sys.modules if n.startswith("outpace.tuner") or n == __name__]
    for name in sorted(names, reverse=True):  # what lies in a package before the package
        package, _, last = name.rpartition(".")
        vars(sys.modules[package]).pop(last, None)
        del sys.modules[name]
    sys.argv = [_SCRIPT]
    sys.orig_argv = [Path(sys.executable).name, _SCRIPT]
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    begin, end = (int(fields[number - _FIRST_IN_STAT]) for number in _ARGUMENTS)
    line = b"".join(word.encode() + b"\0" for word in sys.orig_argv)
    ctypes.memmove(begin, line[: end - begin].ljust(end - begin, b"\0"), end - begin)
    if not marked:
        begin, end = (int(fields[number - _FIRST_IN_STAT]) for number in _VARIABLES)
        mark = environment.forget_run_mark().encode()
        at = ctypes.string_at(begin, end - begin).find(mark)
        ctypes.memset(begin + at, 0, len(mark) if at >= 0 else 0)
