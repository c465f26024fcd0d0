"""False promotions of a copy of the reference, and power for a draft that is 10% faster.

Two measurements, both into `results/error_rates.json`:

1. `--confirmations` forced end-to-end runs of the judge on a copy of the reference (screening
   skipped, a state directory of its own, so that every one has the whole error budget).
2. `--pairs` recorded process pairs of the copy and of the faster draft. From these, whole
   confirmations are resampled with replacement; rates come with exact (Clopper-Pearson) intervals
   on the number of wins a process pair, and the resampled promotion rate beside it.

    python benchmarks/error_rates.py [--pairs 200] [--confirmations 20] [--write-readme]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import null
import numpy as np
import record

import outpace
from outpace.codegen.reference import Reference
from outpace.kernels.target import current_target
from outpace.model import PairSamples, Status
from outpace.tuner import api
from outpace.tuner.campaign import Campaign, variants_of
from outpace.tuner.events import QUIET
from outpace.tuner.journal import Journal
from outpace.tuner.rule import THRESHOLD, SequentialRule

ALPHAS = {"one confirmation at 0.8%": 0.0079, "first tune, one workload": 0.0061}
RESAMPLES = 200_000


def main() -> None:
    """Measure, or only rewrite the README from the committed result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--confirmations", type=int, default=20)
    parser.add_argument("--write-readme", action="store_true")
    options = parser.parse_args()
    if not options.write_readme:
        with tempfile.TemporaryDirectory() as scratch:
            measure(Path(scratch), options.pairs, options.confirmations)
    write_readme()


def measure(scratch: Path, pairs: int, confirmations: int) -> None:
    reference = null.smooth.reference
    drafts = {"copy": null.copy_of_reference(), "ten_percent": null.ten_percent_faster()}
    recorded = {
        name: record_pairs(reference, draft, scratch, pairs) for name, draft in drafts.items()
    }
    forced = [forced_confirmation(drafts["copy"], scratch / str(i)) for i in range(confirmations)]
    powered = [
        forced_confirmation(drafts["ten_percent"], scratch / f"p{i}") for i in range(confirmations)
    ]
    record.write(
        "error_rates",
        {
            "threshold": THRESHOLD,
            "forced_confirmations_of_a_copy": forced,
            "forced_confirmations_of_ten_percent": powered,
            "rates": {name: rates(ratios_of(samples)) for name, samples in recorded.items()},
            "process_pairs": {
                name: [{"baseline": s.baseline, "variant": s.variant} for s in samples]
                for name, samples in recorded.items()
            },
        },
    )


def record_pairs(
    reference: Reference, draft: outpace.Draft, scratch: Path, count: int
) -> list[PairSamples]:
    """Fresh process pairs through the very code that a confirmation runs."""
    os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")
    with Journal(scratch / "journal") as journal:
        campaign = Campaign(
            reference,
            current_target(),
            api.workloads_of(reference, ()),
            journal,
            api.Budget(),
            None,
            QUIET,
        )
        campaign.prepare()
        (variant,) = variants_of(draft, 1)
        campaign.evaluate([variant])
        samples = []
        for done in range(count):
            samples.append(campaign.process_pair(variant)[0])
            print(f"\r{done + 1}/{count}", end="", flush=True)
        print()
        return samples


def forced_confirmation(draft: outpace.Draft, scratch: Path) -> str:
    """The verdict of one end-to-end run with screening skipped."""
    os.environ["XDG_STATE_HOME"] = str(scratch / "state")
    os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")
    result = api.judge(null.smooth, draft, promoted=scratch / "promoted", screened=False)
    assert result.verdict is not None
    promoted = any(scratch.rglob("promotion.json"))
    assert promoted == (result.verdict is Status.FASTER)
    print("forced:", result.verdict.value, flush=True)
    return result.verdict.value


def ratios_of(samples: list[PairSamples]) -> list[float]:
    return [median(b / v for b, v in zip(s.baseline, s.variant, strict=True)) for s in samples]


def rates(ratios: list[float]) -> dict[str, Any]:
    """Wins of a process pair with their exact interval, and resampled promotion rates."""
    wins = [ratio > THRESHOLD for ratio in ratios]
    low, high = clopper_pearson(sum(wins), len(wins))
    return {
        "process_pairs": len(wins),
        "median_ratio": median(ratios),
        "wins": sum(wins),
        "win_rate_95_percent_interval": [low, high],
        "promotion_rate": {
            name: {
                "rule": [rule.unanimous, rule.total],
                "proved_bound_on_false_promotions": rule.alpha,
                "resampled": resampled(wins, rule),
                "at_the_interval": [promotion_probability(rule, p) for p in (low, high)],
            }
            for name, rule in ((n, SequentialRule.for_alpha(a)) for n, a in ALPHAS.items())
        },
    }


def resampled(wins: list[bool], rule: SequentialRule) -> float:
    """Share of confirmations promoted when process pairs are drawn from the recorded ones."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(np.asarray(wins), size=(RESAMPLES, rule.total))
    first = drawn[:, : rule.unanimous].all(axis=1)
    return float(np.mean(first | (drawn.sum(axis=1) >= rule.total - 1)))


def promotion_probability(rule: SequentialRule, p: float) -> float:
    """Of a confirmation whose process pairs win with probability p, in closed form."""
    m, n = rule.unanimous, rule.total
    return float(p**m + m * p ** (n - 1) * (1 - p))


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a binomial proportion, by bisection of the binomial tail."""
    half = (1 - confidence) / 2
    low = 0.0 if successes == 0 else _solve(lambda p: 1 - _cdf(successes - 1, trials, p), half)
    high = 1.0 if successes == trials else _solve(lambda p: -_cdf(successes, trials, p), -half)
    return low, high


def _solve(increasing: Any, value: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if increasing(middle) < value else (low, middle)
    return (low + high) / 2


def _cdf(k: int, n: int, p: float) -> float:
    """P(Binomial(n, p) <= k) by the recurrence of its terms."""
    term, total = (1 - p) ** n, 0.0
    if p >= 1:
        return 1.0 if k >= n else 0.0
    for i in range(k + 1):
        total += term
        term *= (n - i) / (i + 1) * p / (1 - p)
    return total


def _percent(promotion: dict[str, Any]) -> str:
    low, high = (100 * p for p in promotion["at_the_interval"])
    return f"{100 * promotion['resampled']:.4g}% [{low:.2g}, {high:.3g}]"


def write_readme() -> None:
    """Put the measured rates into the README's block."""
    data = record.read("error_rates")
    copy, faster = data["rates"]["copy"], data["rates"]["ten_percent"]
    name = next(iter(copy["promotion_rate"]))
    forced = data["forced_confirmations_of_a_copy"]
    powered = data["forced_confirmations_of_ten_percent"]
    rows = [
        "| draft | true speedup | process pairs won | promoted, resampled [95%] | end to end |",
        "|---|---|---|---|---|",
    ]
    for label, true, rate, runs in (
        ("a copy of the reference", "1.00", copy, forced),
        ("10% less work", "1.10", faster, powered),
    ):
        low, high = rate["win_rate_95_percent_interval"]
        rows.append(
            f"| {label} | {true} | {rate['wins']} of {rate['process_pairs']} "
            f"({100 * low:.1f} to {100 * high:.1f}%) "
            f"| {_percent(rate['promotion_rate'][name])} "
            f"| {runs.count('faster')} of {len(runs)} |"
        )
    record.replace_block(Path(__file__).parents[1] / "README.md", "error-rates", "\n".join(rows))


if __name__ == "__main__":
    main()
