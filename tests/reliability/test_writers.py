"""Sixteen processes at once: each keeps what it was promised, and readers see whole things."""

import pytest

from outpace.tuner.journal import AlphaLedger, Journal

WRITERS = 16
PER_WRITER = [25, pytest.param(250, marks=pytest.mark.soak)]
GENERATIONS = [3, pytest.param(40, marks=pytest.mark.soak)]


@pytest.mark.parametrize("count", PER_WRITER)
def test_writers_of_one_journal_lose_nothing_and_readers_never_see_less(actor, tmp_path, count):
    seen = actor("write_together", tmp_path, WRITERS, count)
    assert seen["lost"] == []
    assert seen["acknowledged"] == [list(range(count))] * WRITERS
    reading = Journal(tmp_path).read()
    assert (reading.damaged, reading.newer) == (0, 0)
    found = [tuple(map(int, record.summary.split()[:2])) for record in reading.records]
    for writer in range(WRITERS):
        assert [number for who, number in found if who == writer] == list(range(count))
    assert len(found) == WRITERS * count


@pytest.mark.parametrize("generations", GENERATIONS)
@pytest.mark.parametrize("exchange", ["with-exchange", "without-exchange"])
def test_of_those_who_promote_for_one_key_one_wins(actor, swift, generations, exchange):
    seen = actor("promote_together", swift, WRITERS, generations, exchange, "one-key")
    for generation, round_ in enumerate(seen, 1):
        assert round_["done"] == list(range(WRITERS))  # each replaced the one before it
        (winner,), warned = round_["after"]
        assert winner[1] == generation
        assert warned == []
        for found, warned in round_["during"]:
            assert warned == []
            # Where folders cannot be exchanged there may be none for an instant.
            assert len(found) == 1 or (not found and exchange == "without-exchange")
            assert all(number in (generation - 1, generation) for _, number in found)
        assert len(round_["left"]) == 1


@pytest.mark.parametrize("generations", GENERATIONS)
def test_those_who_promote_for_different_keys_do_not_meet(actor, swift, generations):
    seen = actor("promote_together", swift, WRITERS, generations, "with-exchange", "own-keys")
    for generation, round_ in enumerate(seen, 1):
        assert sorted(round_["after"][0]) == [[writer, generation] for writer in range(WRITERS)]
        assert all(len(found) == WRITERS and not warned for found, warned in round_["during"])
        assert len(round_["left"]) == WRITERS


def test_no_two_tunes_get_the_same_share_of_an_error_budget(actor):
    assert sorted(actor("claim_together", "5f1e", WRITERS)) == list(range(1, WRITERS + 1))
    ledger = AlphaLedger("5f1e")
    assert ledger.tunes() == WRITERS
    assert len(ledger.spent()) == WRITERS
    assert sum(record.amount for record in ledger.spent()) < 0.01 / 2
