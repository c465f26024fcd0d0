"""The mathematics under the default strategy, against textbook formulas computed densely."""

from math import erf, exp, pi, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outpace.model import Parameter
from outpace.tuner.space import SearchSpace
from outpace.tuner.strategies.borrowed import log_odds_of_ranks, weights_of
from outpace.tuner.strategies.candidates import Candidates, Vicinity
from outpace.tuner.strategies.correlation import (
    RELEVANCES,
    Axis,
    Correlation,
    Setting,
    _log_likelihoods,
    embedding,
)
from outpace.tuner.strategies.outlook import log_expected_improvement
from outpace.tuner.strategies.posterior import Posterior

PARAMETERS = (
    Parameter("block", (16, 32, 48, 64, 96, 128)),
    Parameter("layout", ("aos", "soa", "mixed")),
    Parameter("cached", (True, False)),
)
MORE = (*PARAMETERS, Parameter("unroll", tuple(range(1, 13))), Parameter("vector", (1, 2, 4, 8)))
"""Too many values to be looked up as one."""


def points_of(rng, count, parameters=PARAMETERS):
    return np.stack([rng.integers(len(p.values), size=count) for p in parameters], axis=1)


def correlation_of(points, others, tables):
    return np.prod(
        [t[a[:, None], b[None, :]] for t, a, b in zip(tables, points.T, others.T, strict=True)],
        axis=0,
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 80), st.integers(0, 80))
def test_a_posterior_that_grew_is_the_textbook_one(seed, tried, added):
    rng = np.random.default_rng(seed)
    tables = Correlation.of(tuple(map(Axis, MORE))).tables()
    points, candidates = points_of(rng, tried + added, MORE), points_of(rng, 20, MORE)
    targets = rng.normal(size=tried + added)
    posterior = Posterior(tables, 1e-2, candidates[:12], points[:tried])
    for point in points[tried:]:
        posterior.add(point)
    posterior.extend(candidates[12:])
    kept = rng.permutation(20)[:15]
    posterior.keep(kept)
    candidates = candidates[kept]
    means, deviations = posterior.predict(targets)

    matrix = correlation_of(points, points, tables) + 1e-2 * np.eye(len(points))
    inverse = np.linalg.inv(matrix)
    centre = inverse.sum(axis=0) @ targets / inverse.sum()
    across = correlation_of(candidates, points, tables)
    left = np.maximum(1 - np.einsum("ij,jk,ik->i", across, inverse, across), 1e-6)
    variance = (targets - centre) @ inverse @ (targets - centre) / len(points)
    assert means == pytest.approx(centre + across @ inverse @ (targets - centre), abs=1e-3)
    assert deviations == pytest.approx(np.sqrt(left * variance), abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 15))
def test_likelihoods_are_those_of_the_dense_formula(seed, count):
    rng = np.random.default_rng(seed)
    points, targets = points_of(rng, count), rng.normal(size=count)
    axes = tuple(map(Axis, PARAMETERS))
    tables = Correlation.of(axes).tables()
    matrix = correlation_of(points, points, tables)
    found = _log_likelihoods(matrix[None], np.array(1e-3), targets)[0]
    noisy = matrix + 1e-3 * np.eye(count)
    inverse = np.linalg.inv(noisy)
    centred = targets - inverse.sum(axis=0) @ targets / inverse.sum()
    variance = max(centred @ inverse @ centred / count, 1e-12)
    determinant = np.linalg.slogdet(noisy)[1]
    assert found == pytest.approx(-0.5 * count * np.log(variance) - 0.5 * determinant, rel=1e-5)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
def test_tables_are_correlations_under_every_setting(parameter):
    axis = Axis(parameter)
    for reach, gap in axis.others:
        for relevance in range(len(RELEVANCES)):
            table = axis.table(Setting(relevance, reach, gap))
            assert np.diag(table) == pytest.approx(1.0)
            assert np.linalg.eigvalsh(table).min() > -1e-9


def test_powers_of_two_are_apart_from_their_neighbours():
    axis = Axis(PARAMETERS[0])
    table = axis.table(Setting(3, 0, 2))
    assert table[1, 3] > table[1, 2]  # 32 is more like 64 than like 48


def test_a_parameter_that_decides_is_found_relevant_and_another_not():
    rng = np.random.default_rng(0)
    points = points_of(rng, 40)
    targets = points[:, 1] + 0.01 * rng.normal(size=40)
    correlation = Correlation.of(tuple(map(Axis, PARAMETERS)))
    drawn = []
    for _ in range(10):
        correlation = correlation.redrawn(points, targets, rng)
        drawn.append([RELEVANCES[s.relevance] for s in correlation.settings])
    block, layout, cached = np.mean(drawn, axis=0)
    assert layout > 0.6
    assert max(block, cached) < 0.3


def test_places_follow_values_not_their_order_in_the_list():
    assert embedding(Parameter("a", (8, 1, 64))) == pytest.approx([0.5, 0, 1])
    assert embedding(Parameter("a", (0, -2, 2))) == pytest.approx([0.5, 0, 1])
    assert embedding(Parameter("a", ("x", "y"))) is None
    assert embedding(Parameter("a", (7,))) == pytest.approx([0])


@given(st.floats(-5, 5), st.floats(-3, 3), st.floats(0.01, 3))
def test_expected_improvement_is_the_textbook_one(best, mean, deviation):
    u = (best - mean) / deviation
    found = exp(log_expected_improvement(best, np.array([mean]), np.array([deviation]))[0])
    density, share = exp(-u * u / 2) / sqrt(2 * pi), 0.5 * (1 + erf(u / sqrt(2)))
    if -4 < u < 30:
        assert found == pytest.approx(deviation * (u * share + density), rel=0.05)
    else:
        assert u > 0 or found < 1e-4 * deviation


def test_hopeless_candidates_are_still_ordered():
    gains = log_expected_improvement(0.0, np.array([10.0, 20.0, 29.0]), np.ones(3))
    assert gains[0] > gains[1] > gains[2]


def test_ranks_do_not_care_for_units_nor_for_how_slow_the_slowest_is():
    seconds = np.array([3.0, 1.0, 2.0, 50.0])
    assert log_odds_of_ranks(seconds) == pytest.approx(log_odds_of_ranks(1e3 * seconds**2))
    failed = log_odds_of_ranks(np.array([1.0, np.inf, np.inf, 2.0]))
    assert failed[1] == failed[2] > failed[3] > failed[0]


def test_a_source_that_agrees_counts_and_one_that_contradicts_does_not():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=40)
    scores = np.stack([truth + 0.1 * rng.normal(size=40), -truth], axis=1)
    agreeing, contradicting = weights_of(scores, truth)
    assert agreeing - contradicting > 0.7
    assert weights_of(scores[:1], truth[:1]).sum() == pytest.approx(0.8)


def test_candidates_are_kept_once_and_closed_for_good():
    candidates = Candidates(np.array([[0, 1], [1, 0], [0, 1]]))
    assert len(candidates.points) == 2
    candidates.close(np.array([[1, 0]]))
    assert len(candidates.extend(np.array([[1, 0], [1, 1]]))) == 1
    assert sorted(map(tuple, candidates.points[candidates.open].tolist())) == [(0, 1), (1, 1)]


def test_around_a_point_are_all_its_valid_neighbours():
    space = SearchSpace(PARAMETERS, ["block <= 64 or layout != 'aos'"])
    near = set(map(tuple, Vicinity(space).around([(0, 0, 0)], np.random.default_rng(0)).tolist()))
    assert set(map(tuple, space.neighbours((0, 0, 0)).tolist())) <= near
    assert all(space.is_valid(point) for point in near)
