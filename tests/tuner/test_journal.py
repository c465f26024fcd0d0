import errno
import itertools
import math
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.errors import StorageError
from outpace.model import Draft, PairSamples, Speedup, Status, Trial, Variant
from outpace.tuner.journal import (
    AlphaLedger,
    AlphaSpent,
    CampaignEnded,
    CampaignStarted,
    Journal,
    Promoted,
    TrialRecord,
    campaign_id,
)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "outpace"


def trial_record(reason="1.4 times as fast"):
    variant = Variant(Draft("numba", "def kernel(u, out): ..."), {"tile": 32})
    trial = Trial(
        draft=variant.draft.hash,
        language="numba",
        params=variant.params,
        workload="large",
        status=Status.FASTER,
        reason=reason,
        speedup=Speedup(1.4, 1.3, math.inf),
        samples=(PairSamples((1e-3, 2e-3), (1e-3, 1.5e-3), "bv"),),
    )
    return TrialRecord(trial, variant)


def write(name, *summaries):
    with Journal.open(name) as journal:
        for summary in summaries:
            journal.append(CampaignEnded(summary))
    return journal


def summaries(journal):
    return [record.summary for record in journal.records()]


def only_file(journal):
    (path,) = journal.path.glob("*.jsonl")
    return path


# --- what a campaign sees -------------------------------------------------------------------------


def test_every_kind_of_record_comes_back_equal_and_in_order():
    written = [
        CampaignStarted("climate.py:hdiff", "5f1e", "9ab0", "builtin", "0.1.0"),
        trial_record(),
        AlphaSpent("5f1e", 0.0059, "large, round 1"),
        Promoted("promoted/hdiff/0c4d", "0c4d"),
        CampaignEnded("1 promotion"),
    ]
    with Journal.open("hdiff") as journal:
        for record in written:
            journal.append(record)
        assert journal.records() == written
        assert journal.trials() == [written[1]]
    assert Journal.open("hdiff").records() == written


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False))
def test_any_text_and_any_number_come_back(tmp_path_factory, text, number):
    journal = Journal(tmp_path_factory.mktemp("journal"))
    record = AlphaSpent("5f1e", number, text)
    with journal:
        journal.append(record)
    assert journal.records() == [record]


@pytest.mark.parametrize("text", ["float:nan", "float:inf", "text:", "text:float:nan"])
def test_text_that_looks_like_an_encoded_number_stays_text(text):
    with Journal.open("text") as journal:
        journal.append(trial_record(text))
    assert journal.trials()[0].trial.reason == text


def test_looking_at_a_campaign_leaves_nothing_behind(state):
    with Journal.open("nothing") as journal:
        assert journal.records() == []
    assert not state.exists()


def test_runs_of_a_campaign_are_merged_by_time():
    first, second = Journal.open("jacobi"), Journal.open("jacobi")
    with first, second:
        for count, journal in enumerate([first, second, second, first]):
            journal.append(CampaignEnded(str(count)))
    assert len(list(first.path.glob("*.jsonl"))) == 2
    assert summaries(Journal.open("jacobi")) == ["0", "1", "2", "3"]


def test_a_clock_that_is_set_back_does_not_reorder_what_one_run_wrote():
    with Journal.open("jacobi") as journal:
        journal.append(CampaignEnded("first", time="2031-01-01T00:00:00.000000+00:00"))
        journal.append(CampaignEnded("second", time="2030-01-01T00:00:00.000000+00:00"))
    assert summaries(journal) == ["first", "second"]


def test_fresh_sets_the_old_records_aside(state):
    write("jacobi", "old")
    fresh = Journal.open("jacobi", fresh=True)
    assert fresh.records() == []
    aside = [path for path in (state / "campaigns").iterdir() if path.name != "jacobi"]
    assert len(aside) == 1
    assert re.fullmatch(r"jacobi\.\d{8}T\d{6}\.\d{6}Z", aside[0].name)
    assert summaries(Journal(aside[0])) == ["old"]


def test_fresh_without_earlier_records_is_no_error():
    assert Journal.open("never", fresh=True).records() == []


def test_a_campaign_is_named_by_everything_that_defines_it():
    name = campaign_id("models/climate.py:hdiff", "5f1e", "9ab0", "builtin")
    assert re.fullmatch(r"hdiff-[0-9a-f]{16}", name)
    assert name == campaign_id("models/climate.py:hdiff", "5f1e", "9ab0", "builtin")
    others = {
        campaign_id("other/climate.py:hdiff", "5f1e", "9ab0", "builtin"),
        campaign_id("models/climate.py:hdiff", "5f1f", "9ab0", "builtin"),
        campaign_id("models/climate.py:hdiff", "5f1e", "9ab1", "builtin"),
        campaign_id("models/climate.py:hdiff", "5f1e", "9ab0", "openai"),
    }
    assert len(others | {name}) == 5
    assert "/" not in campaign_id("a.py:<locals>../..", "5f1e", "9ab0", "builtin")


# --- what survives --------------------------------------------------------------------------------


def test_a_record_after_a_torn_one_is_kept():
    journal = write("torn", "first", "last")
    path = only_file(journal)
    path.write_bytes(path.read_bytes()[:-20])
    write("torn", "next")
    reading = journal.read()
    assert [record.summary for record in reading.records] == ["first", "next"]
    assert reading.notes == ("skipped 1 line(s) that were cut short or damaged",)


def test_a_record_is_one_write_and_then_a_sync(monkeypatch):
    with Journal.open("calls") as journal:
        journal.append(CampaignEnded("makes the file"))
        calls = []
        for name in ("write", "fsync"):
            call = getattr(os, name)
            monkeypatch.setattr(os, name, lambda *a, n=name, c=call: (calls.append(n), c(*a))[1])
        journal.append(trial_record())
    assert calls == ["write", "fsync"]


def failing(call, number, partial):
    """A stand-in for os.write or os.fsync that fails on its first call as a full disk does."""
    calls = itertools.count()

    def fail(fd, *data):
        if next(calls) > 0:
            return call(fd, *data)
        if partial:
            return call(fd, data[0][: len(data[0]) // 2])
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("name", "number", "partial"),
    [
        ("write", errno.ENOSPC, False),
        ("write", errno.ENOSPC, True),
        ("write", errno.EIO, False),
        ("fsync", errno.EIO, False),
        ("fsync", errno.ENOSPC, False),
    ],
)
def test_a_failed_write_says_what_to_do_and_loses_nothing(monkeypatch, name, number, partial):
    with Journal.open("full") as journal:
        journal.append(CampaignEnded("before"))
        monkeypatch.setattr(os, name, failing(getattr(os, name), number, partial))
        with pytest.raises(StorageError, match="Free space there") as raised:
            journal.append(CampaignEnded("lost"))
        assert raised.value.exit_code == 4
        assert str(journal.path) in str(raised.value)
        journal.append(CampaignEnded("after"))
    reading = journal.read()
    assert [r.summary for r in reading.records if r.summary != "lost"] == ["before", "after"]
    assert reading.damaged == partial


def test_an_unusable_state_directory_is_a_storage_error(state):
    state.parent.mkdir()
    state.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="make the folder writable"):
        write("blocked", "lost")
    with pytest.raises(StorageError, match="could not read"):
        Journal.open("blocked").records()


# --- the error budget -----------------------------------------------------------------------------


def test_the_shares_of_all_tunes_stay_below_the_total():
    shares = [AlphaLedger("5f1e").next_alpha(0.01) for _ in range(20)]
    assert shares[0] == pytest.approx(0.006079, abs=1e-6)
    assert shares == sorted(shares, reverse=True)
    assert shares[4] == pytest.approx(shares[0] / 25)
    assert sum(shares) < 0.01


def test_a_tune_counts_the_tunes_before_it_and_keeps_its_share():
    first, second = AlphaLedger("5f1e"), AlphaLedger("5f1e")
    assert (first.tunes(), second.tunes()) == (0, 0)
    share = first.next_alpha()
    first.spend(share / 2, "small")
    first.spend(share / 2, "large")
    assert first.tunes() == 0
    assert first.next_alpha() == share
    assert second.tunes() == 1
    assert second.next_alpha() == pytest.approx(share / 4)
    assert [(s.amount, s.purpose) for s in second.spent()] == [
        (share / 2, "small"),
        (share / 2, "large"),
    ]


def test_the_budget_is_kept_per_reference_and_outlives_a_fresh_campaign():
    AlphaLedger("5f1e").spend(0.001, "large")
    Journal.open("hdiff", fresh=True)
    assert AlphaLedger("5f1e").tunes() == 1
    assert AlphaLedger("77aa").tunes() == 0


def test_a_damaged_ledger_does_not_give_the_budget_back():
    ledger = AlphaLedger("5f1e")
    ledger.spend(0.001, "large")
    for path in ledger.path.iterdir():
        path.write_bytes(b"")
    assert AlphaLedger("5f1e").tunes() == 1


def test_concurrent_tunes_get_different_shares():
    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(lambda _: AlphaLedger("5f1e").next_alpha(), range(24)))
    assert len(set(shares)) == 24


def test_a_share_that_cannot_be_recorded_is_refused(monkeypatch):
    ledger = AlphaLedger("5f1e")
    ledger.spend(0.001, "first")
    monkeypatch.setattr(os, "write", failing(os.write, errno.ENOSPC, True))
    with pytest.raises(StorageError):
        ledger.spend(0.002, "torn")
    ledger.spend(0.003, "last")
    assert [record.amount for record in ledger.spent()] == [0.001, 0.003]


@pytest.mark.parametrize("amount", [0.0, 1.0, -0.1, math.nan])
def test_a_share_is_a_probability(amount):
    with pytest.raises(ValueError, match="probability"):
        AlphaLedger("5f1e").spend(amount, "large")
    with pytest.raises(ValueError, match="probability"):
        AlphaLedger("5f1e").next_alpha(amount)
    assert AlphaLedger("5f1e").tunes() == 0
