"""Watching a program: time by function, and what each of the user's own functions is called with.

Works through `sys.setprofile`, in the main thread. The time that watching itself takes is left out.
"""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from outpace.codegen.capture.reading import Obstacle, Reading, read_function
from outpace.codegen.unwrapping import obstacle_of_value

KEPT_CALLS = 8
"""Calls of one function that are kept: the 1st, 2nd, 4th, 8th ... and those of new shapes."""
_IMPORT = ("<frozen importlib._bootstrap>", "_find_and_load")
"""The function of the interpreter that finds and runs a module."""
KEPT_BYTES = 2**30
"""Memory for the copies of all kept calls."""


@dataclass
class Kept:
    """One call: copies of what went in and came out.

    Attributes:
        inputs: Value by parameter, before the call.
        outputs: What it returned, then what it bound.
        changed: Parameters whose arrays were written into.
        overlapping: Pairs of parameters that share memory where one of them was written.
        aliased: Parameters whose memory was bound to another name.
        same: Names that were bound to the array that they had.
        strided: Array parameters that are not C-contiguous.
    """

    inputs: dict[str, Any]
    outputs: list[Any] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    overlapping: list[tuple[str, str]] = field(default_factory=list)
    aliased: set[str] = field(default_factory=set)
    same: set[str] = field(default_factory=set)
    strided: set[str] = field(default_factory=set)


@dataclass
class Seen:
    """One function of the program.

    Attributes:
        file: Where it is defined.
        line: Its first line there.
        qualname: Its name, `Class.method` for a method.
        reading: How it can stand alone; None where it cannot.
        obstacle: Why it cannot be taken, or None.
        calls: How often it was called.
        own: Seconds in it, without those in the user's other functions.
        total: Seconds in it with all that it calls.
        kept: Recorded calls.
        skipped: Calls that would have been kept, were there memory for them.
    """

    file: str
    line: int
    qualname: str
    reading: Reading | None = None
    obstacle: str | None = None
    calls: int = 0
    own: float = 0.0
    total: float = 0.0
    kept: list[Kept] = field(default_factory=list)
    skipped: int = 0
    depth: int = 0
    shapes: set[tuple[Any, ...]] = field(default_factory=set)


@dataclass
class _Open:
    """A call that has not returned yet."""

    seen: Seen
    begin: float
    inner: float = 0.0
    kept: Kept | None = None
    live: dict[str, Any] = field(default_factory=dict)


class Watcher:
    """Collects `Seen` values while it is installed.

    Attributes:
        seen: By code object.
        problem: What went wrong in watching itself; None if nothing did.
    """

    def __init__(self, is_own: Callable[[str], bool]) -> None:
        self.seen: dict[types.CodeType, Seen] = {}
        self.problem: BaseException | None = None
        self._is_own = is_own
        self._known: dict[types.CodeType, Seen | None] = {}
        self._importing = Seen("", 0, "import")
        self._stack: list[_Open] = []
        self._lost = 0.0
        self._bytes = 0

    def install(self) -> None:
        """Begin to watch the calling thread."""
        sys.setprofile(self._notice)

    def remove(self) -> None:
        """Stop watching."""
        sys.setprofile(None)

    def _notice(self, frame: types.FrameType, event: str, arg: Any) -> None:
        if event not in ("call", "return"):
            return
        begin = time.perf_counter()
        try:
            if event == "call":
                self._called(frame, begin - self._lost)
            else:
                self._left(frame, begin - self._lost, arg)
        except Exception as error:  # noqa: BLE001  (the program must go on as without us)
            self.problem = self.problem or error
            self.remove()
        self._lost += time.perf_counter() - begin

    def _called(self, frame: types.FrameType, now: float) -> None:
        code = frame.f_code
        if code not in self._known:
            self._known[code] = self._first_look(frame)
        seen = self._known[code]
        if seen is None:
            return
        seen.calls += 1
        seen.depth += 1
        call = _Open(seen, now)
        self._stack.append(call)
        if seen.reading is not None and seen.obstacle is None and seen.depth == 1:
            self._keep(call, frame, seen.reading)

    def _first_look(self, frame: types.FrameType) -> Seen | None:
        code = frame.f_code
        name = code.co_name
        if (code.co_filename, name) == _IMPORT:
            return self._importing  # no function's own time
        if not self._is_own(code.co_filename) or (name.startswith("<") and name != "<module>"):
            return None  # comprehensions belong to the function around them
        seen = Seen(code.co_filename, code.co_firstlineno, code.co_qualname)
        self.seen[code] = seen
        if name == "<module>":
            seen.obstacle = (
                "it is code outside of any function; move the loop into a function of arrays and "
                "numbers"
            )
            return seen
        try:
            seen.reading = read_function(code, frame.f_globals, self._is_own)
        except Obstacle as obstacle:
            seen.obstacle = str(obstacle)
        return seen

    def _keep(self, call: _Open, frame: types.FrameType, reading: Reading) -> None:
        """Copy what the call is given, if it is one to keep."""
        seen = call.seen
        values = _values(frame, reading, reading.parameters)
        obstacle = next(
            (o for n, v in values.items() if (o := obstacle_of_value(reading.parameters[n], v))),
            None,
        )
        if obstacle is not None or not any(isinstance(v, np.ndarray) for v in values.values()):
            seen.obstacle = obstacle or "it takes no array"
            seen.kept.clear()
            return
        signature = tuple(
            v.shape if isinstance(v, np.ndarray) else v if type(v) is int else None
            for v in values.values()
        )
        is_new = signature not in seen.shapes
        if len(seen.kept) >= KEPT_CALLS or not (is_new or seen.calls & (seen.calls - 1) == 0):
            return
        size = sum(2 * v.nbytes for v in values.values() if isinstance(v, np.ndarray))
        if self._bytes + size > KEPT_BYTES:
            seen.skipped += 1
            return
        self._bytes += size
        seen.shapes.add(signature)
        call.live = values
        call.kept = Kept(
            {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in values.items()},
            strided={
                n
                for n, v in values.items()
                if isinstance(v, np.ndarray) and not v.flags.c_contiguous
            },
        )

    def _left(self, frame: types.FrameType, now: float, returned: Any) -> None:
        seen = self._known.get(frame.f_code)
        if seen is None or not self._stack or self._stack[-1].seen is not seen:
            return
        call = self._stack.pop()
        seen.depth -= 1
        spent = now - call.begin
        if seen is self._importing:
            self._lost += spent - call.inner
            spent = call.inner
        seen.own += spent - call.inner
        seen.total += spent if seen.depth == 0 else 0.0
        if self._stack:
            self._stack[-1].inner += spent
        if call.kept is not None and seen.reading is not None:
            self._finish(call.kept, call.live, frame, seen, returned)

    def _finish(
        self, kept: Kept, live: dict[str, Any], frame: types.FrameType, seen: Seen, returned: Any
    ) -> None:
        """Compare with the copies, and copy what came out."""
        reading = seen.reading
        assert reading is not None
        if reading.returns and returned is None:
            return  # it raised
        parts = list(returned) if isinstance(returned, tuple) else [returned]
        parts = parts if returned is not None else []
        bound = _values(frame, reading, reading.written)
        names = [*(f"its result {i}" for i in range(len(parts))), *reading.written.values()]
        outputs = [*parts, *bound.values()]
        for name, value in zip(names, outputs, strict=True):
            obstacle = obstacle_of_value(name, value)
            if obstacle is not None:
                seen.obstacle = obstacle
                return
        arrays = {n: v for n, v in live.items() if isinstance(v, np.ndarray)}
        kept.changed = {n for n, v in arrays.items() if v.tobytes() != kept.inputs[n].tobytes()}
        kept.overlapping = [
            (a, b)
            for a, b in combinations(arrays, 2)
            if {a, b} & kept.changed and np.may_share_memory(arrays[a], arrays[b])
        ]
        kept.same = {n for n, v in arrays.items() if bound.get(n) is v}
        kept.aliased = {
            n
            for n, v in arrays.items()
            for name, o in bound.items()
            if name not in kept.same and isinstance(o, np.ndarray) and np.may_share_memory(v, o)
        }
        kept.outputs = [o.copy() if isinstance(o, np.ndarray) else o for o in outputs]
        seen.kept.append(kept)


def _values(
    frame: types.FrameType, reading: Reading, expressions: Mapping[str, str]
) -> dict[str, Any]:
    """The values of parameters or written names in a frame, at its call or at its return."""
    code = frame.f_code
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    held = frame.f_locals
    found = {}
    for name, expression in expressions.items():
        prefix, _, attribute = expression.partition(".")
        if attribute and prefix == reading.owner:
            found[name] = getattr(held[prefix], attribute, None)
        else:
            found[name] = held[name] if name in arguments else frame.f_globals.get(name)
    return found
