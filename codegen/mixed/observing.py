"""What the names of a reference hold before each of its statements, at a few small sizes."""

from __future__ import annotations

import ast
import copy
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from outpace.codegen.inputs import Case, draw_cases, draw_inputs
from outpace.codegen.reference import Reference

RUNS = 5
"""Runs that are looked at, each at other sizes."""
TRIES = 12
"""Cases that are tried, because a reference may raise at some sizes."""
VISITS = 6
"""How often a statement is looked at in one run."""
PATIENCE = 2.0
"""Seconds after which no further run is begun."""
LEAST = 3
"""Smaller sizes are looked at only where there are no others: what an extent follows from, and
what is in a branch, shows best at larger ones."""
_CASES = 96
_OBSERVER = "outpace_observer_"


@dataclass(frozen=True)
class HeldArray:
    """A plain NumPy array of numbers."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class HeldScalar:
    """A number.

    Attributes:
        dtype: In NumPy.
        value: Of a Python int; None of any other number.
        weak: Whether it is a Python number.
    """

    dtype: str
    value: int | None
    weak: bool


Held = HeldArray | HeldScalar | str
"""What a name holds; of anything else the name of its type."""


@dataclass(frozen=True)
class Sight:
    """The names before one statement at one time.

    Attributes:
        sizes: Of the run.
        held: By name.
    """

    sizes: Mapping[str, int]
    held: Mapping[str, Held]


Place = tuple[int, int]
"""Line and column of a statement, counted as in the text of the function."""
Sights = Mapping[Place, list[Sight]]


def observe(reference: Reference, function: ast.FunctionDef) -> Sights:
    """Run the reference at small sizes and look at its names before every statement.

    Args:
        reference: The reference.
        function: Its source.

    Returns:
        Nothing about statements that were not reached, nor where the reference raises.
    """
    watcher = _Watcher()
    run = _instrumented(reference, function, watcher)
    begin, done = time.perf_counter(), 0
    for case in _cases(reference):
        watcher.begin(case)
        inputs = draw_inputs(reference, case)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run(**inputs)
        except Exception:  # noqa: BLE001, S112  (the user's code may raise anything at odd sizes)
            continue
        watcher.keep()
        done += 1
        if done == RUNS or time.perf_counter() - begin > PATIENCE:
            break
    return watcher.kept


class _Watcher:
    """Is called before every statement."""

    def __init__(self) -> None:
        self.kept: dict[Place, list[Sight]] = {}
        self._sizes: Mapping[str, int] = {}
        self._seen: dict[Place, list[Sight]] = {}

    def begin(self, case: Case) -> None:
        self._sizes, self._seen = case.sizes, {}

    def keep(self) -> None:
        for place, seen in self._seen.items():
            self.kept.setdefault(place, []).extend(seen)

    def __call__(self, *place: int) -> None:
        line, column = place
        seen = self._seen.setdefault((line, column), [])
        if len(seen) < VISITS:
            names = sys._getframe(1).f_locals  # noqa: SLF001  (there is no other way to see them)
            seen.append(Sight(self._sizes, {name: _held(value) for name, value in names.items()}))


def _held(value: Any) -> Held:
    """Exact types alone: a subclass may compute in another way."""
    if type(value) is np.ndarray and value.dtype.kind in "biufc" and value.dtype.isnative:
        return HeldArray(value.dtype.name, value.shape)
    if type(value) in (bool, int, float, complex):
        dtype = {bool: "bool", int: "int64", float: "float64", complex: "complex128"}[type(value)]
        return HeldScalar(dtype, value if type(value) is int else None, weak=True)
    if isinstance(value, np.generic) and value.dtype.kind in "biufc":
        return HeldScalar(value.dtype.name, None, weak=False)
    return type(value).__name__


def _instrumented(
    reference: Reference, function: ast.FunctionDef, watcher: _Watcher
) -> Callable[..., Any]:
    """The function, with a call of the watcher before every statement."""
    watched = copy.deepcopy(function)
    for node in ast.walk(watched):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                setattr(node, field, [part for s in block for part in (_call(s), s)])
    closure = reference.closure
    helpers = [t for name, t in closure.functions.items() if name != closure.name]
    parts = [*closure.imports.values(), closure.constants_text(), *helpers]
    module = ast.parse("from __future__ import annotations\n" + "\n".join(parts))
    module.body.append(ast.fix_missing_locations(watched))
    names: dict[str, Any] = {_OBSERVER: watcher, "__name__": "outpace_observed"}
    exec(compile(module, f"<{reference.name}>", "exec"), names)  # noqa: S102  (the user's own code)
    found: Callable[..., Any] = names[closure.name]
    return found


def _call(s: ast.stmt) -> ast.stmt:
    return ast.parse(f"{_OBSERVER}({s.lineno}, {s.col_offset})").body[0]


def _cases(reference: Reference) -> list[Case]:
    """Small cases with sizes that differ from each other, the most telling first."""

    def telling(case: Case) -> tuple[int, int]:
        sizes = list(case.sizes.values())
        small = sum(size < LEAST for size in sizes)
        return small + len(sizes) - len(set(sizes)), sum(map(abs, sizes))

    cases = sorted(draw_cases(reference, _CASES, 0), key=telling)
    plain = [msgspec.structs.replace(case, flavour="plain") for case in cases]
    return plain[:TRIES]
