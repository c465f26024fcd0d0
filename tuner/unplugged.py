"""Judging drafts in CUDA on a machine without a GPU: compiled for a named one, run in simulation.

Right in simulation is `checked`. Nothing is timed, and nothing can be promoted.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from outpace.codegen.reference import Reference
from outpace.kernels.languages.cuda import ARCHITECTURE, CUDA
from outpace.kernels.languages.cuda_report import DeviceReport
from outpace.kernels.target import current_target
from outpace.model import Draft, Status, Trial, Variant
from outpace.tuner.api import Result
from outpace.tuner.evaluate import BUILD_LIMIT, lowest_grade, trial_of, write_source
from outpace.tuner.events import QUIET, Ended, Message, Observer, Planned
from outpace.tuner.numerics.selfcheck import check_reference
from outpace.tuner.process import Failure, Worker
from outpace.tuner.simgpu.check import check_cuda
from outpace.tuner.untimed import GOES_ON, few_variants, verdict_of

ONLY_CHECKED = "checked in simulation; only a GPU times and promotes"


def judge_unplugged(
    reference: Reference,
    draft: Draft,
    *,
    architecture: str | None = None,
    observer: Observer = QUIET,
    accept_risk: bool = False,
) -> Result:
    """Compile a draft for a GPU that is not here, and run it on the simulated one.

    Args:
        reference: What it is a draft of.
        draft: In the language `cuda`.
        architecture: GPU to compile for, such as `sm_90`; None to leave that out.
        observer: Receives events.
        accept_risk: Run the draft of a model even below isolation grade B.

    Returns:
        A trial for each variant, and the verdict: what the first that failed ended with, else
        `checked`; variants that do not build count only if none does. The notes say what the
        kernels take of the hardware.

    Raises:
        ContractError: The annotation is wrong, or the reference cannot be judged.
        UsageError: No combination of the draft's parameters satisfies its constraints.
        StorageError: There is no room for the build.
    """
    observer.notice(Message(f"checking the reference {reference.name}"))
    checked = check_reference(reference, secrets.randbits(62))
    trials, notes = [], [*checked.notes]
    refused = _not_compiled(architecture)
    if refused is not None:
        notes.append(refused)
    for variant in few_variants(draft):
        observer.notice(Planned(variant.label, variant.hash, variant.draft.language))
        compiled = None
        if architecture is not None and refused is None:
            compiled = compile_for(reference, variant, architecture, accept_risk=accept_risk)
        if isinstance(compiled, Trial):
            trial = compiled
        else:
            trial = check_cuda(checked, variant, accept_risk=accept_risk)
            if compiled is not None:
                where = f"{variant.label} on {compiled.architecture}"
                notes += [f"{where}, {line}" for line in compiled.lines]
        observer.notice(Ended(variant.hash, trial))
        trials.append(trial)
        if trial.status not in GOES_ON:
            break
    verdict = verdict_of(trials)
    if verdict is Status.CHECKED:
        notes.append(ONLY_CHECKED)
    unique = tuple(dict.fromkeys(notes))
    return Result(
        reference.name, current_target(), tuple(trials), verdict, None, None, notes=unique
    )


def compile_for(
    reference: Reference, variant: Variant, architecture: str, *, accept_risk: bool = False
) -> DeviceReport | Trial:
    """Compile a variant in a confined process; a Trial where it does not compile or fit.

    Raises:
        StorageError: There is no room for the build.
    """
    contract = reference.contract
    flags = {**variant.draft.flags, ARCHITECTURE: architecture}
    named = Variant(msgspec.structs.replace(variant.draft, flags=flags), variant.params)
    lowest = lowest_grade(variant.draft, accept_risk=accept_risk)
    with write_source(f"draft{CUDA.suffix}", CUDA.bind(named)) as name:
        folder = Path(name)
        try:
            with Worker(
                *(contract, folder, (0, 0)),
                variant=named,
                building=True,
                lowest=lowest,
                start_limit=BUILD_LIMIT,
            ) as builder:
                del builder
        except Failure as failure:
            return trial_of(
                *(variant, failure.status, failure.reason),
                grade=failure.grade,
                details=failure.details,
            )
        return CUDA.report(folder / f"draft{CUDA.suffix}", contract, folder / "build")


def _not_compiled(architecture: str | None) -> str | None:
    """Why nothing is compiled for a GPU, or None."""
    if architecture is None:
        return "not compiled for a GPU; --target cuda:sm_90 does that without one"
    why = CUDA.cannot_compile(architecture)
    return None if why is None else f"not compiled for {architecture}: {why}"
