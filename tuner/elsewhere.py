"""What other campaigns of a reference found out: on other targets, other sizes, sibling drafts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import exp, log
from statistics import fmean

from outpace.errors import OutpaceError
from outpace.model import Draft, Variant
from outpace.tuner.evaluator import UNTIMED
from outpace.tuner.journal import CampaignStarted, Journal, Screened, TrialRecord
from outpace.tuner.search import Record

MOST_CAMPAIGNS = 20
"""Campaigns that are read, the newest first."""


def records_elsewhere(journal: Journal, reference: str, draft: Draft) -> list[Record]:
    """Times of like variants that a search of this draft may start from.

    A variant is like those of the draft if it binds parameters of the same names in the same
    language. Records of one draft on one target at the same workloads form one source.

    Args:
        journal: Of the campaign that asks; those beside it are read, and it for sibling drafts.
        reference: Name of the reference.
        draft: Those of its own variants that this campaign takes over as they are, are left out.
    """
    sources: dict[str, list[Record]] = {}
    failures: list[tuple[str, Record]] = []
    for where, record in _like(journal, reference, draft):
        variant = record.variant
        origin = f"{where}:{variant.draft.hash}"
        if isinstance(record, Screened):
            source = f"{origin}:{','.join(sorted(record.ratios))}"
            seconds = exp(-fmean(map(log, record.ratios.values())))
            sources.setdefault(source, []).append(Record(variant.params, seconds, source))
        elif record.trial.status in UNTIMED:
            failures.append((origin, Record(variant.params, None)))
    for origin, failure in failures:
        for source, records in sources.items():
            if source.startswith(f"{origin}:"):
                records.append(replace(failure, source=source))
    return [record for records in sources.values() for record in records]


def _like(
    journal: Journal, reference: str, draft: Draft
) -> Iterator[tuple[str, Screened | TrialRecord]]:
    """Records of variants like those of a draft, with the target they were made on."""
    known = {record.variant.hash for record in journal.unfinished()}
    for other in (journal, *_beside(journal)):
        try:
            found = other.records()
        except OutpaceError:
            continue  # a damaged or foreign journal has nothing to teach
        target = ""
        for record in found:
            if isinstance(record, CampaignStarted):
                target = record.target if record.reference == reference else ""
            elif target and isinstance(record, Screened | TrialRecord):
                is_own = other is journal and record.variant.draft.hash == draft.hash
                is_known = isinstance(record, TrialRecord) or record.variant.hash in known
                if _is_like(draft, record.variant) and not (is_own and is_known):
                    yield target, record


def _beside(journal: Journal) -> Iterator[Journal]:
    """Journals of the campaigns on functions of the same name, the newest first.

    Earlier records of the same campaign that were set aside are not wanted.
    """
    own = journal.path.name
    function = own.rpartition("-")[0]
    folders = [
        path
        for path in journal.path.parent.glob(f"{function}-*")
        if path.name != own and not path.name.startswith(f"{own}.")
    ]
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return (Journal(path) for path in folders[:MOST_CAMPAIGNS])


def _is_like(draft: Draft, variant: Variant) -> bool:
    names = {parameter.name for parameter in draft.parameters}
    return variant.draft.language == draft.language and set(variant.params) == names
