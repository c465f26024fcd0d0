"""Answers in the shapes that TRL's trainers read, with licence and provenance beside them.

All are conversational: https://huggingface.co/docs/trl/dataset_formats. For SFT that is prompt and
completion rather than `messages`, because TRL then takes the loss over the completion alone; most
of an example is its prompt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outpace.tuner.training.answers import Answer, LeftOut
from outpace.tuner.training.findings import Verdict
from outpace.tuner.training.formats import Format


@dataclass(frozen=True)
class Example:
    """One line of a file.

    Attributes:
        source: Hash of the reference's source.
        row: The columns.
    """

    source: str
    row: dict[str, Any]


def examples_of(
    answers: Sequence[Answer], licences: Mapping[str, str], form: Format
) -> tuple[list[Example], Counter[LeftOut]]:
    """The examples that these answers make, and why others make none.

    Args:
        answers: Each kernel once under a prompt.
        licences: By the hash of a reference's source.
        form: Their shape.
    """
    known = [a for a in answers if a.campaign.started.source_hash in licences]
    examples, left_out = _SHAPES[form](known, licences)
    left_out[LeftOut.NO_LICENCE] += len(answers) - len(known)
    return examples, left_out


def _sft(
    answers: Sequence[Answer], licences: Mapping[str, str]
) -> tuple[list[Example], Counter[LeftOut]]:
    """What was confirmed faster."""
    left_out = Counter(_why_not(a) for a in answers if a.finding.verdict is not Verdict.FASTER)
    good = [a for a in answers if a.finding.verdict is Verdict.FASTER]
    return [_example(a, licences, _completion(a)) for a in good], left_out


def _kto(
    answers: Sequence[Answer], licences: Mapping[str, str]
) -> tuple[list[Example], Counter[LeftOut]]:
    """True for what was confirmed faster, false for what failed or is not faster."""
    labels = {Verdict.FASTER: True, Verdict.SLOW: False, Verdict.FAILED: False}
    left_out = Counter(_why_not(a) for a in answers if a.finding.verdict not in labels)
    examples = [
        _example(a, licences, {**_completion(a), "label": labels[a.finding.verdict]})
        for a in answers
        if a.finding.verdict in labels
    ]
    return examples, left_out


def _preference(
    answers: Sequence[Answer], licences: Mapping[str, str]
) -> tuple[list[Example], Counter[LeftOut]]:
    """Every pair of replies to one prompt of which one is clearly better."""
    by_prompt: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        key = (answer.campaign.started.source_hash, answer.prompt_key)
        by_prompt.setdefault(key, []).append(answer)
    examples: list[Example] = []
    left_out: Counter[LeftOut] = Counter()
    for group in by_prompt.values():
        pairs = [(a, b) for a in group for b in group if _is_better(a, b)]
        paired = {id(one) for pair in pairs for one in pair}
        left_out.update(_why_alone(a) for a in group if id(a) not in paired)
        examples += [_pair(chosen, rejected, licences) for chosen, rejected in pairs]
    return examples, left_out


_SHAPES: Mapping[
    Format,
    Callable[[Sequence[Answer], Mapping[str, str]], tuple[list[Example], Counter[LeftOut]]],
] = {Format.SFT: _sft, Format.PREFERENCE: _preference, Format.KTO: _kto}


# --- Which ones ---------------------------------------------------------------------------------


def _is_better(one: Answer, other: Answer) -> bool:
    """Right over failed; confirmed faster over what is slower by more than the interval."""
    verdict, against = one.finding.verdict, other.finding.verdict
    if Verdict.UNDECIDED in (verdict, against) or verdict is Verdict.FAILED:
        return False
    if against is Verdict.FAILED:
        return True
    return verdict is Verdict.FASTER and one.finding.beats(other.finding)


def _why_not(answer: Answer) -> LeftOut:
    if answer.finding.verdict is Verdict.UNDECIDED:
        return LeftOut.UNDECIDED
    is_right = answer.finding.verdict is Verdict.RIGHT
    return LeftOut.NOT_CONFIRMED if is_right else LeftOut.NOT_FASTER


def _why_alone(answer: Answer) -> LeftOut:
    is_open = answer.finding.verdict is Verdict.UNDECIDED
    return LeftOut.UNDECIDED if is_open else LeftOut.NO_PARTNER


# --- Columns ------------------------------------------------------------------------------------


def _example(answer: Answer, licences: Mapping[str, str], columns: dict[str, Any]) -> Example:
    source = answer.campaign.started.source_hash
    row = {**columns, "license": licences[source], "provenance": _provenance(answer)}
    return Example(source, row)


def _pair(chosen: Answer, rejected: Answer, licences: Mapping[str, str]) -> Example:
    source = chosen.campaign.started.source_hash
    row = {
        "prompt": _prompt(chosen),
        "chosen": _reply(chosen),
        "rejected": _reply(rejected),
        "license": licences[source],
        "provenance": {"chosen": _provenance(chosen), "rejected": _provenance(rejected)},
    }
    return Example(source, row)


def _completion(answer: Answer) -> dict[str, Any]:
    return {"prompt": _prompt(answer), "completion": _reply(answer)}


def _prompt(answer: Answer) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in answer.prompt]


def _reply(answer: Answer) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": answer.reply}]


def _provenance(answer: Answer) -> dict[str, Any]:
    """The same fields in every example, so that readers of columns find them of one type."""
    provenance, started, finding = answer.draft.provenance, answer.campaign.started, answer.finding
    workload, speedup = finding.headline or (None, None)
    return {
        "reference": started.reference,
        "source": started.source_hash,
        "draft": answer.draft.hash,
        "language": answer.draft.language,
        "drafter": provenance.drafter,
        "model": provenance.model,
        "rebuilt": answer.rebuilt,
        "campaign": answer.campaign.id,
        "target": started.target,
        "verdict": finding.verdict.value,
        "status": finding.status.value,
        "workload": workload,
        "speedup": speedup.median if speedup is not None else None,
        "low": speedup.low if speedup is not None else None,
        "high": speedup.high if speedup is not None else None,
        "screened": finding.screened,
        "grade": finding.grade.value,
        "version": started.version,
        "date": finding.time,
    }
