"""What the pytest plugin does: it finds promoted functions, verifies them, and times calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from outpace.codegen.abi import as_results
from outpace.codegen.reference import Reference
from outpace.errors import ContractError, OutpaceError, UsageError
from outpace.kernels.optimize import OptimizedFunction
from outpace.kernels.promotions import StoredPromotion
from outpace.model import Workload
from outpace.tuner.ci.regression import verify
from outpace.tuner.ci.trees import Named, bound, function_named, promotions_in
from outpace.tuner.confirm import describe
from outpace.tuner.events import QUIET
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.plan import Plan, draw_call, make_plan
from outpace.tuner.process import Call

TIMED_SECONDS = 1.0
"""Time to spend on the calls of one benchmark."""
ROUNDS_LEAST, ROUNDS_MOST = 5, 200


@dataclass(frozen=True)
class Promoted:
    """A function with promotions, or a promotion without its function.

    Attributes:
        name: `FILE.py:function` or a folder, relative to the root.
        function: The decorated function; None where there is none that can be loaded.
        promotions: That can be read.
        problems: Why others cannot, or why there is no function.
    """

    name: str
    function: OptimizedFunction[Any] | None
    promotions: tuple[StoredPromotion, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def workloads(self) -> tuple[str, ...]:
        """Names of the function's workloads."""
        if self.function is None:
            return ()
        return tuple(w.name for w in self.function.reference.contract.workloads)


def promoted_under(root: Path, folders: Sequence[Path]) -> list[Promoted]:
    """Every function with a promotion below these folders.

    Raises:
        UsageError: There is no such folder.
    """
    found = []
    for folder in folders:
        base = root if folder.resolve().is_relative_to(root.resolve()) else folder
        promotions, unreadable = promotions_in(base, folder)
        found += [_promoted(base, name, stored) for name, stored in sorted(promotions.items())]
        found += [Promoted(name, None, (), (why,)) for name, why in unreadable.items()]
    return list({promoted.name: promoted for promoted in found}.values())


def _promoted(root: Path, name: Named, stored: Sequence[StoredPromotion]) -> Promoted:
    try:
        function = function_named(root, name)
        if not isinstance(function, OptimizedFunction):
            raise ContractError(f"{name} is no decorated function any more; remove its promotions")
        _ = function.reference.contract
    except OutpaceError as error:
        return Promoted(str(name), None, tuple(stored), (str(error),))
    return Promoted(str(name), function, tuple(stored))


def faults(promoted: Promoted) -> list[str]:
    """Everything that is wrong with the promotions of a function; verifies them by the full rule.

    Raises:
        ContractError: The function cannot be judged by.
    """
    if promoted.function is None:
        return list(promoted.problems)
    reference = promoted.function.reference
    found = list(promoted.problems)
    current = []
    for stored in promoted.promotions:
        if stored.promotion.key.source_hash == reference.source_hash:
            current.append(stored.promotion.variant)
        else:
            found.append(
                f"promotion {stored.path} is stale, because its function has changed since; run "
                "`outpace tune` again"
            )
    verified = verify(reference, current, QUIET)
    found += [f"promotion {t.label} is {t.status.value}: {t.reason}" for t in verified.failures]
    return found


class PedanticBenchmark(Protocol):
    """What is used of pytest-benchmark's fixture."""

    extra_info: dict[str, Any]

    def pedantic(self, target: Any, *, setup: Any, rounds: int) -> Any:
        """Time `target` with the arguments that `setup` gives, so many times."""


class Benchmark:
    """Verifies a decorated function at a workload, then times it there."""

    def __init__(self, fixture: PedanticBenchmark) -> None:
        self._fixture = fixture

    def __call__(self, function: Any, workload: str | None = None) -> None:
        """Time what a call runs, the promotion or the reference, with new values for every call.

        The stored record says which of them ran, and what the reference takes in a process alone.

        Args:
            function: Decorated with `outpace.optimize`.
            workload: Name of the workload; may be left out where there is only one.

        Raises:
            AssertionError: A result is not the reference's, by the rule of the judge.
            ContractError: It is not decorated, or cannot be judged by.
            UsageError: No such workload.
        """
        if not isinstance(function, OptimizedFunction):
            raise ContractError(f"{function!r} is not decorated with `outpace.optimize`")
        reference = function.reference
        chosen = _workload(reference, workload)
        rng = np.random.default_rng()
        plan = make_plan(reference, Oracle(reference), chosen, rng)
        for which, call in enumerate(plan.calls):
            mismatch = plan.compare(reference.contract, which, _results(function, call))
            if mismatch is not None:
                raise AssertionError(f"wrong at workload {chosen.name!r}: {describe(mismatch)}")
        given = bound(reference, plan.calls[0].values)
        told = function.explain(*given.args, **given.kwargs)
        self._fixture.extra_info.update(
            workload=chosen.name,
            runs="reference" if told.promotion is None else "promotion",
            reason=told.reason,
            reference_seconds=plan.reference_seconds,
        )

        def setup() -> tuple[tuple[Any, ...], dict[str, Any]]:
            arguments = bound(reference, draw_call(reference, chosen, rng).values)
            return arguments.args, arguments.kwargs

        self._fixture.pedantic(function, setup=setup, rounds=_rounds(plan))


def _workload(reference: Reference, name: str | None) -> Workload:
    known = {w.name: w for w in reference.contract.workloads}
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name is None or name not in known:
        asked = "name the workload" if name is None else f"no workload {name!r}"
        raise UsageError(f"{asked}; {reference.name} has {', '.join(known)}")
    return known[name]


def _results(function: OptimizedFunction[Any], call: Call) -> list[np.ndarray[Any, Any]]:
    """Mutated arguments, then returned values, of a call on copies."""
    contract = function.reference.contract
    values: Mapping[str, Any] = {
        n: v.copy() if isinstance(v, np.ndarray) else v for n, v in call.values.items()
    }
    given = bound(function.reference, values)
    returned = function(*given.args, **given.kwargs)
    return [values[a.name] for a in contract.mutated] + as_results(contract, returned, call.sizes)


def _rounds(plan: Plan) -> int:
    """How many calls to time; a promotion is taken to be no slower than its reference."""
    return max(ROUNDS_LEAST, min(ROUNDS_MOST, int(TIMED_SECONDS / plan.reference_seconds)))
