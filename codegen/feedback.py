"""Trials as text for a model: what failed and where, how fast it was, and what limits it.

Text that comes from a draft's own process is data here: it is cut, stripped of control characters
and stands inside the fence that the prompt puts around all feedback. Expected values appear only
for the one element of a case on which a draft has failed already; new cases are drawn each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from outpace.codegen.dims import shape_of
from outpace.codegen.llm.standing import Standing, Timing
from outpace.codegen.machine import Machine
from outpace.model import Contract, Counterexample, Mismatch, Status, Trial, Workload

MOST_BYTES = 20_000
"""Of all feedback in one prompt; longer dumps help no model and crowd out the contract."""
_ERROR_LINES = 40
_ERROR_CHARACTERS = 4_000
_FAILURES = 3
"""Different failures of one draft that are told."""
_TRIED = 40
_OVERHEAD = 20e-6
"""Seconds below which a call and the start of threads cost as much as the work."""
_NEAR = 2.0
"""Times the least time that memory allows, up to which memory is what limits."""
_BARELY = 100.0
"""Times what is allowed, up to which an error may be one of rounding."""
_LOCAL = re.compile(r"(?<![\w./*)-])(?:/[\w.@+~-]+){2,}/(?=[\w.@+~-])| at 0x[0-9a-f]+")
"""Folders of an absolute path, which may hold the user's name, and addresses in memory."""


def feedback(standing: Standing, contract: Contract, machine: Machine) -> str:
    """What became of a draft, at most `MOST_BYTES` of UTF-8.

    Args:
        standing: Of the draft.
        contract: Of its reference.
        machine: Where it ran.
    """
    parts = [_failure(trial) for trial in _different(standing.failures)[:_FAILURES]]
    if standing.timings:
        bound = ", ".join(f"{name}={value}" for name, value in standing.params.items())
        parts.append(f"Right on every case{f' with {bound}' if bound else ''}. Timed:")
        for name, timing in standing.timings.items():
            parts.append(_timing(contract, contract.workload(name), timing, machine))
    elif not parts:
        parts.append("It was not judged.")
    return limited("\n".join(parts), MOST_BYTES)


def tried(standings: Sequence[Standing], refused: Sequence[str]) -> str:
    """One line for each draft so far, the latest last, and why replies were refused.

    Args:
        standings: Of all drafts, in the order in which they were made.
        refused: Reasons, in the same order.
    """
    lines = [f"- {_idea(s)}: {_outcome(s)}" for s in standings[-_TRIED:]]
    lines += [f"- a reply was refused: {clean(reason, 300)}" for reason in refused[-_FAILURES:]]
    return limited("\n".join(lines), MOST_BYTES // 4)


def limited(text: str, most: int) -> str:
    """Text of at most that many bytes of UTF-8, with a note where it was cut."""
    if len(text.encode()) <= most:
        return text
    note = "\n[cut]"
    return text.encode()[: most - len(note)].decode(errors="ignore") + note


def clean(text: str, most: int) -> str:
    """Text without control characters, of at most that many characters."""
    kept = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return kept if len(kept) <= most else f"{kept[: most - 3]}..."


# --- Failures -----------------------------------------------------------------------------------


def _different(failures: Sequence[Trial]) -> list[Trial]:
    """One of each kind; variants of one draft mostly fail alike."""
    kinds: dict[tuple[Status, str], Trial] = {}
    for trial in failures:
        reason = "" if trial.counterexample else _LOCAL.sub("", trial.reason)
        kinds.setdefault((trial.status, reason), trial)
    return list(kinds.values())


def _failure(trial: Trial) -> str:
    bound = ", ".join(f"{name}={value}" for name, value in trial.params.items())
    lines = [f"Status {trial.status.value}{f' with {bound}' if bound else ''}."]
    if trial.counterexample is not None and trial.counterexample.mismatch is not None:
        lines.append(_counterexample(trial.counterexample))
    else:
        lines.append(clean(_LOCAL.sub("", trial.reason), 600))
    if trial.details:
        lines.append(_first_errors(_LOCAL.sub("", trial.details)))
    return "\n".join(lines)


def _counterexample(found: Counterexample) -> str:
    """Where a result was wrong; the seed stays with the judge."""
    mismatch = found.mismatch
    assert mismatch is not None
    given: dict[str, float] = {**found.sizes, **found.scalars}
    sizes = ", ".join(f"{name}={value:g}" for name, value in given.items())
    index = ", ".join(map(str, mismatch.index))
    return (
        f"Smallest case found: {sizes}, values of the kind {found.flavour!r}. "
        f"{mismatch.output}[{index}] is {mismatch.got}, expected {mismatch.expected} within "
        f"{mismatch.allowed}; {mismatch.count} element(s) of it are wrong.{_rounding(mismatch)}"
    )


def _rounding(mismatch: Mismatch) -> str:
    """Where a result is barely off: that not the formula may be at fault but its rounding."""
    got, expected, allowed = mismatch.got, mismatch.expected, mismatch.allowed
    if isinstance(got, str) or isinstance(expected, str) or isinstance(allowed, str):
        return ""  # not finite
    off = abs(got - expected)
    if not 0.0 < off <= _BARELY * allowed:
        return ""
    return (
        f" That is off by {off / allowed:.2g} times what is allowed, as rounding errors are: keep "
        "the reference's order of operations, sum in parts, or sum in a higher precision."
    )


def _first_errors(details: str) -> str:
    """Where a compiler's errors begin; what follows mostly follows from them."""
    lines = clean(details, _ERROR_CHARACTERS).splitlines()
    begin = next((i for i, line in enumerate(lines) if "error" in line.lower()), 0)
    return "\n".join(lines[max(0, begin - 1) :][:_ERROR_LINES])


# --- Times --------------------------------------------------------------------------------------


def _timing(contract: Contract, workload: Workload, timing: Timing, machine: Machine) -> str:
    sizes = " ".join(f"{name}={size}" for name, size in workload.sizes.items())
    line = (
        f"- {workload.name} ({sizes}): {duration(timing.seconds)}, the reference "
        f"{duration(timing.reference)}, {timing.speedup:.3g}x."
    )
    return f"{line} {bottleneck(timing.seconds, moved_bytes(contract, workload), machine)}"


def moved_bytes(contract: Contract, workload: Workload) -> int:
    """Bytes that any kernel must move at a workload: inputs once in, outputs once out."""
    arrays = [(a.dims or (), a.dtype, 2 if a.mutated else 1) for a in contract.arguments]
    arrays += [(o.dims, o.dtype, 1) for o in contract.outputs]
    return sum(
        passes * prod(shape_of(dims, workload.sizes)) * np.dtype(dtype).itemsize
        for dims, dtype, passes in arrays
    )


def bottleneck(seconds: float, moved: int, machine: Machine) -> str:
    """What limits a kernel, by which evidence, and what to change: a roofline in words.

    The roof is the time in which memory moves what must be moved (Williams, Waterman and Patterson,
    "Roofline", CACM 52, 2009), because operations are not counted.

    Args:
        seconds: Of one call.
        moved: As `moved_bytes` gives it.
        machine: Where it ran.
    """
    if seconds < _OVERHEAD:
        return (
            "Bottleneck: overhead of the call itself; start no threads and touch little beyond "
            "the data."
        )
    fits = machine.last_cache is not None and moved < machine.last_cache
    if machine.bandwidth is None or fits:
        return (
            f"The {size(moved)} it must move fit into the last cache. Bottleneck: arithmetic or "
            "latency, not memory; make the innermost loop contiguous, branch-free and vectorised, "
            "use all cores, and do less work."
            if fits
            else f"It must move {size(moved)} at least."
        )
    least = moved / machine.bandwidth
    roof = (
        f"It must move {size(moved)}, which takes {duration(least)} at the "
        f"{size(machine.bandwidth)}/s of this machine: it runs at {min(1.0, least / seconds):.0%} "
        "of that roof."
    )
    if seconds <= _NEAR * least:
        return f"{roof} Bottleneck: memory bandwidth; little is left to gain here."
    return (
        f"{roof} Bottleneck: repeated passes over arrays larger than the caches, or arithmetic; "
        "fuse passes, keep intermediates in registers or in a few rows, block for the caches, and "
        "use all cores with vectorised inner loops."
    )


def duration(seconds: float) -> str:
    """Seconds with three digits and a fitting unit."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def size(amount: float) -> str:
    """Bytes with three digits and a fitting unit."""
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if amount >= factor:
            return f"{amount / factor:.3g} {unit}"
    return f"{amount:.0f} bytes"


# --- What was tried -----------------------------------------------------------------------------


def _idea(standing: Standing) -> str:
    draft = standing.draft
    return clean(f"{draft.provenance.idea or 'draft'} ({draft.language})", 160)


def _outcome(standing: Standing) -> str:
    if standing.speedup is not None:
        return f"right, {standing.speedup:.3g}x of the reference"
    statuses = _unique(trial.status.value for trial in standing.failures)
    return ", ".join(statuses) or "not judged"


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
