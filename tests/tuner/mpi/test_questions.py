"""What drafts are asked, how a problem is dealt to ranks, and how many bytes they may receive."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from planted_drafts import checked, planted, referenced

from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.mpi.layout import Layout, default_grid, grids
from outpace.errors import DraftError
from outpace.model import Draft, Variant
from outpace.tuner.arena import Arena
from outpace.tuner.mpi.bounds import most_received
from outpace.tuner.mpi.dealing import Deal, room_for
from outpace.tuner.mpi.judge import RANKS
from outpace.tuner.mpi.questions import Question, Questioner
from outpace.tuner.numerics.acceptance import expect

NAMES = ("heat", "advect", "total", "ordered", "pairs", "count", "smooth")
ANY = Variant(Draft("mpi", ""))


def asked(name, sizes, grid):
    reference = referenced(name)
    case = Case(sizes, 7)
    inputs = draw_inputs(reference, case)
    expected = expect(checked(name).oracle, inputs, sizes, np.random.default_rng(0))
    return Question(Layout.of(reference.contract, sizes, grid), case, expected), inputs


def dealt(question, inputs):
    arenas = [Arena(room_for(question), read_only_descriptor=False) for _ in range(question.ranks)]
    memory = [arena.mapping for arena in arenas]
    return arenas, memory, Deal(question, memory, inputs, np.random.default_rng(1))


def block(deal, memory, rank, position):
    return memory[rank].at(deal.items(rank)[position][:3])


@settings(max_examples=25)
@given(st.data())
def test_blocks_that_are_right_make_a_whole_that_is_right(data):
    sizes = {n: data.draw(st.integers(1, 9), n) for n in ("y", "x")} | {"steps": 2}
    ranks = data.draw(st.sampled_from(RANKS))
    grid = data.draw(st.sampled_from(grids(referenced("heat").contract, ranks)))
    question, inputs = asked("heat", sizes, grid)
    arenas, memory, deal = dealt(question, inputs)
    try:
        assert deal.mismatch() is not None  # outputs are poisoned
        for rank in range(ranks):
            whole = question.expected.native[0]
            block(deal, memory, rank, 2)[...] = whole[question.blocks["out"][rank]]
        assert deal.problem() is None
        assert deal.mismatch() is None
        row, column = (data.draw(st.integers(0, sizes[n] - 1)) for n in ("y", "x"))
        for rank in range(ranks):
            rows, columns = question.blocks["out"][rank]
            if rows.start <= row < rows.stop and columns.start <= column < columns.stop:
                block(deal, memory, rank, 2)[row - rows.start, column - columns.start] += 1.0
        found = deal.mismatch()
        assert (found.index, found.count) == ((row, column), 1)
    finally:
        for arena in arenas:
            arena.close()


def test_every_rank_must_hold_a_result_that_is_not_cut():
    question, inputs = asked("total", {"n": 8}, {"n": 3})
    arenas, memory, deal = dealt(question, inputs)
    for rank in range(3):
        block(deal, memory, rank, 1)[...] = question.expected.native[0]
    assert deal.mismatch() is None
    block(deal, memory, 2, 1)[...] += 1.0
    assert deal.mismatch().output == "out"
    for arena in arenas:
        arena.close()


def test_a_reduction_that_is_claimed_exact_is_held_to_every_bit():
    question, inputs = asked("highest", {"n": 6}, {"n": 2})
    arenas, memory, deal = dealt(question, inputs)
    right = question.expected.native[0]
    for rank in range(2):
        block(deal, memory, rank, 1)[...] = right
    assert deal.out_of_order() is None
    block(deal, memory, 1, 1)[...] = np.nextafter(right, 0.0)
    assert deal.mismatch() is None
    assert "reassociable=False wants every bit" in deal.out_of_order()
    for arena in arenas:
        arena.close()


def test_what_a_rank_may_not_write_is_named():
    question, inputs = asked("heat", {"y": 5, "x": 3, "steps": 1}, {"y": 2, "x": 1})
    arenas, memory, deal = dealt(question, inputs)
    block(deal, memory, 1, 0)[0, 0] += 1.0
    assert deal.problem() == "rank 1 writes into its input u"
    deal = Deal(question, memory, inputs, np.random.default_rng(1))
    offset, shape, dtype, _ = deal.items(0)[2]
    memory[0].at([offset + 8 * shape[0] * shape[1], [1], dtype])[0] = 0.0
    assert deal.problem() == "rank 0 writes outside out"
    for arena in arenas:
        arena.close()


@pytest.mark.parametrize("name", NAMES)
def test_awkward_sizes_are_asked_at_every_number_of_ranks(name):
    questioner = Questioner(checked(name), 3)
    questions = list(questioner.awkward(ANY, RANKS))
    dim = next(iter(referenced(name).contract.split))
    for ranks in RANKS:
        extents = {q.case.sizes[dim] for q in questions if q.ranks == ranks}
        assert 1 in extents
        assert any(extent % ranks == 0 and extent > ranks for extent in extents)
        assert ranks == 1 or any(extent % ranks for extent in extents if extent > ranks)
        assert ranks < 3 or any(1 < extent < ranks for extent in extents)
    assert all(q.ranks in RANKS for q in questioner.drawn(ANY, RANKS))


def test_inputs_are_drawn_anew_at_the_same_sizes():
    questions = list(Questioner(checked("heat"), 3).awkward(ANY, (2,)))
    first, second = questions[:2]
    assert first.case.sizes == second.case.sizes
    assert first.case.seed != second.case.seed


def test_a_grid_with_a_fixed_number_of_places_decides_the_ranks():
    questioner = Questioner(checked("heat"), 3)
    draft = planted("heat_grid_right").draft
    variant = Variant(draft, {p.name: p.values[0] for p in draft.parameters})
    assert questioner.ranks_of(variant, RANKS) == (6,)
    assert questioner.ranks_of(ANY, RANKS) == RANKS
    with pytest.raises(DraftError, match="grid"):
        questioner.ranks_of(Variant(Draft("mpi", "", flags={"grid": "z"})), RANKS)


@pytest.mark.parametrize("name", ["heat", "advect", "total", "ordered", "count", "smooth"])
def test_a_halo_is_allowed_and_everything_is_not(name):
    (question,) = Questioner(checked(name), 3).weighed(ANY, RANKS)
    assert question.weighed
    layout = question.layout
    argument = referenced(name).contract.arguments[0]
    whole = np.prod([n.stop for n in layout.own(argument, layout.ranks - 1)], dtype=int)
    for rank in range(layout.ranks):
        own = np.prod(layout.shape(argument, rank), dtype=int)
        everything = (whole - own) * np.dtype(argument.dtype).itemsize
        assert 1024 < most_received(layout, rank) < everything


def test_a_ring_may_be_received_whole():
    contract = referenced("pairs").contract
    sizes = {"n": 40, "k": 5}
    layout = Layout.of(contract, sizes, default_grid(contract, sizes, 4))
    assert most_received(layout, 0) >= 30 * 5 * 8


def test_one_rank_alone_is_not_weighed():
    assert list(Questioner(checked("heat"), 3).weighed(ANY, (1,))) == []
