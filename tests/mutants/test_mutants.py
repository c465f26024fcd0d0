"""Wrong variants of the library are killed by drawn cases, correct ones are left alone."""

from __future__ import annotations

from collections import Counter

import pytest
from killing import checked, deviates, is_rejected, run
from mutant_table import MUTANTS
from reordering_table import REORDERINGS

SEEDS = (1, 2)
MANY_SEEDS = range(100, 120)


def test_the_tables_cover_the_library():
    for table in (MUTANTS, REORDERINGS):
        counts = Counter(one.reference for one in table)
        library = {name: n for name, n in counts.items() if not name.startswith("selections.")}
        assert len(library) == 10
        assert sum(library.values()) >= 60
        assert len({one.name for one in table}) == len(table)


def survivors(table, seeds):
    return {
        one.name: missed
        for one in table
        if (missed := [seed for seed in seeds if not is_rejected(one, seed)])
    }


def check_kills(seeds):
    survived = survivors(MUTANTS, seeds)
    total = len(MUTANTS) * len(seeds)
    killed = total - sum(map(len, survived.values()))
    # Shown by pytest -rP, and by pytest itself when the test fails.
    print(f"{killed} of {total} mutants killed; survivors by seed: {survived}")  # noqa: T201
    assert killed >= 0.95 * total
    return survived


def check_acceptance(seeds):
    rejected = {one.name: sum(is_rejected(one, seed) for seed in seeds) for one in REORDERINGS}
    total = len(REORDERINGS) * len(seeds)
    print(f"{sum(rejected.values())} of {total} rejected: {+Counter(rejected)}")  # noqa: T201
    assert sum(rejected.values()) <= 0.02 * total


def test_mutants_are_killed():
    survived = check_kills(SEEDS)
    # What no seed kills has to be shown to be a mutant at all.
    for one in MUTANTS:
        if len(survived.get(one.name, ())) == len(SEEDS):
            assert deviates(one), one.name


def test_correct_reorderings_are_accepted():
    check_acceptance(SEEDS)


@pytest.mark.parametrize("one", MUTANTS, ids=lambda one: one.name)
def test_mutants_die_of_what_they_compute(one):
    """Not of an exception: that would tell nothing about the acceptance rule."""
    truth = checked(one.reference, SEEDS[0])
    fn = one.function()
    assert all(run(truth.oracle, fn, case) is not None for case in truth.cases[:12])


@pytest.mark.soak
def test_mutants_are_killed_for_many_seeds():
    check_kills(MANY_SEEDS)


@pytest.mark.soak
def test_correct_reorderings_are_accepted_for_many_seeds():
    check_acceptance(MANY_SEEDS)


@pytest.mark.soak
@pytest.mark.parametrize("one", MUTANTS, ids=lambda one: one.name)
def test_mutants_are_no_equivalents(one):
    assert deviates(one)
