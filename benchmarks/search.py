"""The search strategies on recorded spaces, beside Kernel Tuner's on the same spaces and seeds.

Every file of a folder of Kernel Tuner cache files (gzipped or not) is replayed: nothing is built
or timed, failing points are charged as evaluations and with the time they took. Writes
`results/search.json` and the tables of `docs/search.md`.

    pip install 'outpace[search]'
    python benchmarks/search.py FOLDER [--seeds 50] [--peers pso,...]
    python benchmarks/search.py --cost          # measure the cost of asking alone, keep the rest
    python benchmarks/search.py --write-docs
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import record

from outpace.model import Parameter
from outpace.tuner.replay import outcome_of, records_of
from outpace.tuner.search import Measured, Record, Strategy, make_strategy
from outpace.tuner.space import SearchSpace
from outpace.tuner.spacefiles import RecordedSpace, read_space
from outpace.tuner.strategies.surrogate import SurrogateSearch

BUDGETS = (25, 50, 100, 200)
PEERS = (
    "simulated_annealing",
    "adaptive_tabu_greywolf",
    "genetic_algorithm",
    "hybrid_vndx",
    "random_sample",
    "pso",
    "dual_annealing",
)
SPREADS = (8, 12)
"""The one setting that is chosen by leaving families out: points tried before there is a model."""
SIBLINGS = 3
"""Perturbed copies of a space that stand for other cards' records of the same kernel."""
WARM_SEEDS = 20
COST_RUNS = 5
Make = Callable[[RecordedSpace, int], Strategy]
Courses = dict[str, list[dict[str, list[float]]]]
"""By problem, one entry a seed: best over optimum at the budgets, in evaluations and in time."""


def main() -> None:
    """Measure, or only rewrite the page from the committed result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--peers", default=",".join(PEERS), help="of Kernel Tuner; '' for none")
    parser.add_argument("--cost", action="store_true", help="measure the cost of asking again")
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    if options.cost:
        record.write("search", record.read("search") | {"cost": cost_of_asking()})
    elif not options.write_docs:
        if options.folder is None:
            parser.error("which folder holds the recorded spaces?")
        files = sorted(options.folder.glob("*.json*"))
        problems = {path.name.partition(".")[0]: read_space(path) for path in files}
        peers = [name for name in options.peers.split(",") if name]
        record.write("search", measured(problems, peers, options.seeds))
    write_docs()


def measured(problems: dict[str, RecordedSpace], peers: list[str], seeds: int) -> dict[str, Any]:
    """Everything the page shows, raw."""
    runs = {}
    for spread in SPREADS:
        name = f"surrogate, {spread} first"
        runs[name] = courses_of(name, problems, partial(_ours, spread), seeds)
    for name in ("random", *(f"kernel_tuner:{peer}" for peer in peers)):
        runs[name] = courses_of(name, problems, partial(_by_name, name), seeds)
    warm = courses_of("warm", problems, _warm, min(seeds, WARM_SEEDS))
    return {"runs": runs, "warm": warm, "cost": cost_of_asking()}


def _ours(spread: int, recorded: RecordedSpace, seed: int) -> Strategy:
    return SurrogateSearch(recorded.space, seed, spread_out=spread)


def _by_name(name: str, recorded: RecordedSpace, seed: int) -> Strategy:
    return make_strategy(name, recorded.space, seed, ())


def _warm(recorded: RecordedSpace, seed: int) -> Strategy:
    known = [r for i in range(SIBLINGS) for r in sibling(recorded, 1000 * seed + i)]
    return make_strategy("surrogate", recorded.space, seed, known)


def sibling(recorded: RecordedSpace, seed: int) -> list[Record]:
    """What the same kernel might have taken on another card: synthetic, for want of records.

    Every value of every parameter is up to a third faster or slower, so are pairs of values of
    two parameters, every point by another 5%, and one point in 50 fails.
    """
    rng = np.random.default_rng(seed)
    points = recorded.space.points
    assert points is not None
    factors = rng.normal(0, 0.05, len(points))
    counts = [len(p.values) for p in recorded.space.parameters]
    for column, count in zip(points.T, counts, strict=True):
        factors += rng.normal(0, 0.15, count)[column]
    for _ in range(len(counts)):
        a, b = rng.integers(len(counts), size=2)
        factors += rng.normal(0, 0.15, (counts[a], counts[b]))[points[:, a], points[:, b]]
    fails = rng.random(len(points)) < 0.02
    return [
        Record(
            known.params,
            None if failed or known.seconds is None else known.seconds * float(np.exp(factor)),
            f"sibling {seed}",
        )
        for known, factor, failed in zip(records_of(recorded), factors, fails, strict=True)
    ]


def courses_of(label: str, problems: dict[str, RecordedSpace], make: Make, seeds: int) -> Courses:
    """Runs of one strategy on every problem; says how it goes."""
    courses: Courses = {}
    for name, recorded in problems.items():
        started = time.process_time()
        courses[name] = [course(recorded, make(recorded, seed)) for seed in range(seeds)]
        seconds = (time.process_time() - started) / seeds
        reached = np.median([run["evaluations"] for run in courses[name]], axis=0)
        print(f"{label}, {name}: {reached.round(4)} {seconds:.2f} s a run", flush=True)
    return courses


def course(recorded: RecordedSpace, strategy: Strategy) -> dict[str, list[float]]:
    """Best over optimum after so many evaluations, and after the time that so many usually take.

    The time of an evaluation is the recorded one, compilation included; usual is the mean over
    the space. A run ends after the largest number of evaluations; one that took less than the time
    usual for them counts as if it had found nothing more. Before a point works, the slowest
    recorded one counts as the best.
    """
    usual = float(recorded.cost_seconds.mean())
    best, spent, count = float(np.nanmax(recorded.seconds)) / recorded.optimum, 0.0, 0
    by_count: list[float] = []
    by_time: list[float] = []
    while count < BUDGETS[-1] and (points := strategy.ask(1)):
        outcome = outcome_of(recorded, points[0])
        strategy.tell(points[0], outcome)
        spent += float(recorded.cost_seconds[recorded.space.row_of(points[0])])
        count += 1
        while len(by_time) < len(BUDGETS) and spent > BUDGETS[len(by_time)] * usual:
            by_time.append(best)  # without the evaluation that went beyond the budget
        if isinstance(outcome, Measured):
            best = min(best, outcome.seconds / recorded.optimum)
        if count in BUDGETS:
            by_count.append(best)
    short = [best] * len(BUDGETS)
    return {"evaluations": (by_count + short)[:4], "time": (by_time + short)[:4]}


def cost_of_asking() -> dict[str, float]:
    """CPU seconds of one ask and tell, by the number of points of the space.

    The mean over a run of 200 evaluations, and the median of that over some runs.
    """
    costs = {}
    for counts in ((2, 3, 5, 10, 10, 6), (10,) * 7):
        parameters = [Parameter(f"p{i}", tuple(range(1, n + 1))) for i, n in enumerate(counts)]
        space = SearchSpace(parameters)
        costs[str(space.size)] = float(np.median([_cost(space, seed) for seed in range(COST_RUNS)]))
    return costs


def _cost(space: SearchSpace, seed: int) -> float:
    """Mean CPU seconds of one ask and tell in one run."""
    rng = np.random.default_rng(seed)
    effects = [rng.normal(size=len(p.values)) for p in space.parameters]
    strategy, spent = make_strategy("surrogate", space, seed, ()), 0.0
    for _ in range(BUDGETS[-1]):
        started = time.process_time()
        point = strategy.ask(1)[0]
        spent += time.process_time() - started
        outcome = Measured(float(np.exp(sum(e[i] for e, i in zip(effects, point, strict=True)))))
        started = time.process_time()
        strategy.tell(point, outcome)
        spent += time.process_time() - started
    return spent / BUDGETS[-1]


# --- the page -----------------------------------------------------------------------------------


def write_docs() -> None:
    """The tables of `docs/search.md`."""
    data = record.read("search")
    page = record.RESULTS.parents[1] / "docs" / "search.md"
    record.replace_block(page, "evaluations", table(data, "evaluations"))
    record.replace_block(page, "time", table(data, "time"))
    record.replace_block(page, "cost", "\n".join(_costs(data["cost"])))


def table(data: dict[str, Any], unit: str) -> str:
    """One row a strategy."""
    runs: dict[str, Courses] = dict(data["runs"])
    rows = {"**surrogate, by leaving families out**": left_out(runs)}
    rows |= {name: runs[name] for name in sorted(runs, key=lambda n: _overall(runs[n], unit))}
    rows["surrogate, warm from synthetic siblings"] = data["warm"]
    heads = " | ".join(map(str, BUDGETS))
    lines = [f"| strategy | {heads} | runs within 5% at 100 |", "|---" * (len(BUDGETS) + 2) + "|"]
    for name, courses in rows.items():
        middle = " | ".join(f"{value:.4f}" for value in summary(courses, unit))
        near = np.mean([np.mean([r[unit][2] <= 1.05 for r in runs]) for runs in courses.values()])
        lines.append(
            f"| {name.replace('kernel_tuner:', 'Kernel Tuner ')} | {middle} | {near:.0%} |"
        )
    return "\n".join(lines)


def summary(courses: Courses, unit: str) -> np.ndarray[Any, Any]:
    """Geometric mean over problems of the median over seeds, one number a budget."""
    medians = [np.median([run[unit] for run in runs], axis=0) for runs in courses.values()]
    return np.asarray(np.exp(np.mean(np.log(medians), axis=0)))


def left_out(runs: dict[str, Courses]) -> Courses:
    """Ours on every problem with the setting that does best on the families it is not of."""
    settings = [name for name in runs if name.startswith("surrogate")]
    problems = list(runs[settings[0]])
    chosen: Courses = {}
    for problem in problems:
        others = [p for p in problems if family(p) != family(problem)]
        best = min(
            settings,
            key=lambda s: _overall({p: runs[s][p] for p in others or problems}, "evaluations"),
        )
        chosen[problem] = runs[best][problem]
    return chosen


def family(problem: str) -> str:
    """The kind of kernel: `conv_milo__W6600` and `convolution__RTX_2080_Ti` are both `conv`."""
    return problem[:4]


def _overall(courses: Courses, unit: str) -> float:
    """Mean log of best over optimum, over problems, seeds and budgets."""
    return float(np.mean([np.mean(np.log([r[unit] for r in runs])) for runs in courses.values()]))


def _costs(cost: dict[str, float]) -> list[str]:
    return [
        f"Asking costs {1e3 * seconds:.2f} ms of CPU a point on a space of {int(size):,} points."
        for size, seconds in cost.items()
    ]


if __name__ == "__main__":
    main()
