"""What refinement in rounds has bought, against as many tokens spent on samples of first prompts.

A campaign of several rounds is compared with one of a single round on the same reference, target,
model and languages. Both are cut to the tokens of the one that spent less. What counts is the best
of the model's own drafts that never failed, by its screened speedup: both campaigns screen in one
way, while the second of two has the promotion of the first to beat in its confirmations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import exp, log
from pathlib import Path
from statistics import fmean

from outpace.codegen.llm.exchange import Exchange
from outpace.codegen.llm.options import ModelOptions
from outpace.codegen.llm.standing import UNDECIDED
from outpace.errors import OutpaceError
from outpace.model import Speedup, Status
from outpace.tuner.elsewhere import MOST_CAMPAIGNS
from outpace.tuner.evaluator import CLOSE
from outpace.tuner.past import PastCampaign, read_campaign, replies_as_judged

_DRAFTING = re.compile(r"(\d+)/\d+/\d+")
"""Places of exchanges that ask for drafts; others are probes."""


class Better(StrEnum):
    """Which way of asking brought the faster draft; NEITHER where screening could not tell."""

    LOOP = "loop"
    SAMPLES = "samples"
    NEITHER = "neither"


@dataclass(frozen=True)
class Side:
    """What one way of asking has brought.

    Attributes:
        replies: That were counted.
        tokens: That these have cost.
        idea: Of its best draft; None where none was right.
        screened: Speedup of that over the reference when it was screened, geometric mean over the
            workloads.
        confirmed: The same as it was confirmed, at the last workload at which it was.
    """

    replies: int
    tokens: int
    idea: str | None = None
    screened: float | None = None
    confirmed: Speedup | None = None


@dataclass(frozen=True)
class Missing:
    """The campaign that would have to be run for a comparison, at about equal tokens."""

    rounds: int
    samples: int


@dataclass(frozen=True)
class Worth:
    """What several rounds and a single one have brought.

    Attributes:
        loop: Of several rounds; None where they were not run.
        samples: Of a single round; None where it was not run.
        missing: What to run where one of them is None.
    """

    loop: Side | None
    samples: Side | None
    missing: Missing | None = None

    @property
    def better(self) -> Better | None:
        """The faster one by more than what screening can tell apart; None without both."""
        if self.loop is None or self.samples is None:
            return None
        loop, samples = self.loop.screened or 0.0, self.samples.screened or 0.0
        if loop > CLOSE * samples:
            return Better.LOOP
        return Better.SAMPLES if samples > CLOSE * loop else Better.NEITHER


def worth_of(journal: Path) -> Worth | None:
    """What the rounds of a campaign have bought; None where no model has drafted.

    Args:
        journal: Folder of the campaign; others are looked for beside it.

    Raises:
        StorageError: The campaign cannot be read.
    """
    campaign = read_campaign(journal)
    asked = _asked(campaign) if campaign is not None else None
    if asked is None:
        return None
    others = [one for one in _beside(journal) if one.is_comparable(asked)]
    if not others:
        return _alone(asked)
    other = max(others, key=lambda one: one.tokens)
    loop, single = (asked, other) if asked.rounds > 1 else (other, asked)
    tokens = min(loop.tokens, single.tokens)
    names = loop.workloads | single.workloads
    return Worth(loop.side(tokens, names), single.side(tokens, names))


def _alone(asked: _Asked) -> Worth:
    """Only one way was tried; the other one would need about as many replies."""
    side = asked.side(asked.tokens, asked.workloads)
    if asked.rounds > 1:
        first = [e for e in asked.exchanges if _round(e) == 0]
        each = sum(e.usage.total for e in first) / max(1, sum(len(e.replies) for e in first))
        return Worth(side, None, Missing(1, max(1, round(asked.tokens / max(each, 1.0)))))
    rounds = ModelOptions.rounds
    return Worth(None, side, Missing(rounds, max(1, round(side.replies / rounds))))


@dataclass(frozen=True)
class _Asked:
    """A campaign in which a model drafted."""

    campaign: PastCampaign
    exchanges: tuple[Exchange, ...]

    @property
    def rounds(self) -> int:
        """Rounds that brought replies."""
        return 1 + max(_round(exchange) for exchange in self.exchanges if exchange.replies)

    @property
    def tokens(self) -> int:
        """That drafting has cost, probes aside."""
        return sum(exchange.usage.total for exchange in self.exchanges)

    @property
    def workloads(self) -> frozenset[str]:
        """Names of those at which drafts were screened."""
        return frozenset(name for record in self.campaign.screened for name in record.ratios)

    def is_comparable(self, other: _Asked) -> bool:
        """Whether they differ in their rounds, and in nothing else that matters."""
        return (
            self._conditions == other._conditions
            and (self.rounds > 1) != (other.rounds > 1)
            and (not self.workloads or not other.workloads or self.workloads == other.workloads)
        )

    @property
    def _conditions(self) -> tuple[object, ...]:
        started, first = self.campaign.started, self.exchanges[0]
        sees_builtin = "builtin" in started.drafter.split("+")
        return (
            started.source_hash,
            started.target,
            first.model,
            first.rounds.languages,
            sees_builtin,
        )

    def side(self, tokens: int, workloads: Iterable[str]) -> Side:
        """What the first replies have brought that cost so many tokens together."""
        replies, spent, drafts = 0, 0.0, set()
        for exchange in self.exchanges:
            found = replies_as_judged(exchange)
            if not found:
                spent += exchange.usage.total
            for draft, _ in found:
                spent += exchange.usage.total / len(found)
                if spent > tokens + 0.5:
                    break
                replies += 1
                drafts.add(draft.hash)
        return self._best(Side(replies, min(tokens, round(spent))), drafts, sorted(workloads))

    def _best(self, side: Side, drafts: set[str], workloads: Sequence[str]) -> Side:
        trials = self.campaign.trials
        failed = {r.variant.hash for r in trials if r.trial.status not in UNDECIDED}
        # What was screened last counts: it is the mean of all screenings of a variant.
        timed = {
            record.variant.hash: record
            for record in self.campaign.screened
            if record.variant.draft.hash in drafts and set(workloads) <= set(record.ratios)
        }
        speed = {
            key: exp(fmean(log(record.ratios[name]) for name in workloads))
            for key, record in timed.items()
            if key not in failed
        }
        if not speed:
            return side
        best = max(speed, key=speed.__getitem__)
        confirmed = [
            r.trial.speedup
            for r in trials
            if r.variant.hash == best and r.trial.status is Status.FASTER
        ]
        return replace(
            side,
            idea=timed[best].variant.label,
            screened=speed[best],
            confirmed=confirmed[-1] if confirmed else None,
        )


def _asked(campaign: PastCampaign) -> _Asked | None:
    """The campaign with the exchanges that asked for drafts; None without replies."""
    recorded = campaign.exchanges or campaign.repeated
    exchanges = tuple(e for e in recorded if _DRAFTING.fullmatch(e.place))
    if not any(exchange.replies for exchange in exchanges):
        return None
    return _Asked(campaign, exchanges)


def _round(exchange: Exchange) -> int:
    place = _DRAFTING.fullmatch(exchange.place)
    assert place is not None
    return int(place[1])


def _beside(journal: Path) -> Iterator[_Asked]:
    """Other campaigns on functions of the same name in which a model drafted, the newest first."""
    function = journal.name.rpartition("-")[0]
    folders = [path for path in journal.parent.glob(f"{function}-*") if path.name != journal.name]
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[:MOST_CAMPAIGNS]:
        try:
            campaign = read_campaign(folder)
            asked = _asked(campaign) if campaign is not None else None
        except OutpaceError:
            continue  # a damaged or foreign journal has nothing to tell
        if asked is not None:
            yield asked
