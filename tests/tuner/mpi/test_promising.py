"""Which programs are tried first, what they are compared with, and what is said of the times."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from planted_drafts import referenced

from outpace.codegen.mpi.cost import Machine
from outpace.codegen.mpi.drafts import mpi_drafts
from outpace.codegen.mpi.local import numpy_kernel
from outpace.kernels.library import climate
from outpace.model import Draft, Parameter, Speedup, Status, Variant
from outpace.tuner.mpi.baselines import is_threaded
from outpace.tuner.mpi.measured import RankTimes
from outpace.tuner.mpi.promising import machine_of, one_of_each, promising
from outpace.tuner.space import SearchSpace

SIZES = {"y": 64, "x": 48, "steps": 8}


@pytest.fixture(scope="module")
def drafts():
    reference = referenced("heat")
    return mpi_drafts(reference, numpy_kernel(reference), 4)


def test_variants_satisfy_their_drafts_and_come_once(drafts):
    found = promising(referenced("heat"), drafts, 4, SIZES, Machine())
    assert len({variant.hash for variant in found}) == len(found) > 12
    for variant in found:
        space = SearchSpace(variant.draft.parameters, variant.draft.constraints)
        assert space.is_valid(space.point_of(variant.params))


def test_the_most_promising_of_every_arrangement_comes_first(drafts):
    found = promising(referenced("heat"), drafts, 4, SIZES, Machine())
    leaders = one_of_each(found)
    assert leaders[0] == found[0]
    assert leaders == sorted(leaders, key=found.index)
    ways = {tuple(v.params[n] for n in ("GRID_Y", "GRID_X", "DEPTH", "OVERLAP")) for v in found}
    assert len(leaders) == len(ways) < len(found)


def test_slow_messages_favour_few_exchanges(drafts):
    reference = referenced("heat")
    slow = promising(reference, drafts, 4, SIZES, Machine(alpha=1e-2))
    assert slow[0].params["DEPTH"] == max(v.params["DEPTH"] for v in slow)


def test_a_dim_without_a_halo_is_cut_without_messages():
    reference = climate.hdiff.reference
    sizes = max((w.sizes for w in reference.contract.workloads), key=lambda s: s["I"])
    drafts = mpi_drafts(reference, numpy_kernel(reference), 2)
    found = promising(reference, drafts, 2, sizes, Machine())
    alone = [v for v in found if v.params["GRID_K"] == 2]
    assert found[0] in alone
    assert len(alone) <= 2  # and the draft's own defaults


def test_on_one_rank_ways_to_exchange_make_no_difference():
    reference = referenced("heat")
    one = mpi_drafts(reference, numpy_kernel(reference), 1)
    found = promising(reference, one, 1, SIZES, Machine())
    depths = {variant.params["DEPTH"] for variant in found}
    assert len(depths) <= len(found) <= len(depths) + len(one)  # and the drafts' own defaults


def test_the_rate_of_a_machine_is_that_of_the_serial_kernel():
    assert machine_of(referenced("heat"), SIZES, 0.5).rate == pytest.approx(64 * 48 * 8 / 0.5)


def test_threads_are_in_flags_or_parameters():
    threaded = Draft("c", "", (Parameter("PARALLEL", (1, 0)),))
    assert is_threaded(Variant(threaded, {"PARALLEL": 1}))
    assert not is_threaded(Variant(threaded, {"PARALLEL": 0}))
    source = "import numba\n\n\n@numba.njit({options})\ndef kernel(u, out):\n    out[:] = u\n"
    assert is_threaded(Variant(Draft("numba", source.format(options="parallel=True"))))
    assert not is_threaded(Variant(Draft("numba", source.format(options="fastmath=True"))))


def test_efficiency_is_the_speedup_over_serial_by_rank():
    over = [Speedup(value, value, value) for value in (20.0, 1.8, 1.2)]
    times = RankTimes(2, "large", "stencil", Status.FASTER, *over, ())
    assert times.efficiency == pytest.approx(0.9)
    assert times.threaded_efficiency == pytest.approx(0.75)
    assert "1.80x of the best serial variant, 1.20x of the best threaded one" in times.sentence
    alone = RankTimes(1, "large", "map", Status.NOT_FASTER, over[0], None, None, ())
    assert (alone.efficiency, alone.threaded_efficiency) == (None, None)
