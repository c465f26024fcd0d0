"""Every call that changes or reads a file fails once, in every way: nothing is lost or made up."""

import os
from pathlib import Path

import pytest

from outpace.errors import StorageError
from outpace.kernels.durable import make_folder
from outpace.tuner.journal import CampaignEnded, Journal


def test_a_journal_loses_nothing_whichever_call_fails(faulty_actor, swift):
    seen = faulty_actor("faults_in_journal", swift)
    assert len(seen) > 50
    for name, outcome, text, is_first, found in seen:
        before, after = [] if is_first else [[0, 0]], [0, 2]
        whole = [*before, [0, 1], after]
        if outcome == "done":
            assert found == whole, name
        else:
            # A record that was written and not synced was not acknowledged, and may be there.
            assert (outcome, found in (whole, [*before, after])) == ("StorageError", True), text
            assert "run the same command again" in text


def test_an_error_budget_is_never_given_twice_whichever_call_fails(
    faulty_actor, swift, monkeypatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(swift))
    seen = faulty_actor("faults_in_ledger", swift)
    assert len(seen) > 50
    for name, outcome, text, tunes, spent in seen:
        if outcome == "done":
            assert (tunes, spent) == (2, 2), name
        else:
            assert outcome == "StorageError", text
            assert spent <= tunes <= 2
            assert "again" in text


@pytest.mark.parametrize(
    "exchange", ["with-exchange", pytest.param("without-exchange", marks=pytest.mark.soak)]
)
def test_a_promotion_is_the_old_or_the_new_one_whichever_call_fails(faulty_actor, swift, exchange):
    seen = faulty_actor("faults_in_promotion", swift, exchange)
    assert len(seen) > 300
    for name, outcome, text, found, warned, afterwards in seen:
        is_first, mode = name.startswith("True"), name.split("-")[1]
        old, new = [] if is_first else [[0, 0]], [[0, 1]]
        assert (warned, afterwards) == ([], [[0, 2]]), name
        if outcome == "done":
            assert found == new, name
        elif "could not be synced" in text:
            assert (outcome, found) == ("StorageError", new), name
        else:
            assert outcome == "StorageError", text
            # Two failures in a row cannot be made good where folders cannot be exchanged.
            lost = exchange == "without-exchange" and mode == "2"
            assert found == old or (lost and found == []), name


def test_a_promotion_that_cannot_be_read_is_left_out_with_a_warning(faulty_actor, swift):
    seen = faulty_actor("faults_in_reading", swift)
    assert len(seen) > 5
    for _, outcome, text, found, warned in seen:
        assert outcome == "done", text
        assert (found, len(warned)) in (([[0, 0]], 0), ([], 1))
        assert all(str(swift) in warning for warning in warned)


# --- Power failure ------------------------------------------------------------------------------


@pytest.fixture
def synced(monkeypatch):
    """The folders and files that were synced since they last changed."""
    clean, sync, make = set(), os.fsync, os.mkdir

    def fsync(fd):
        sync(fd)
        clean.add(Path(f"/proc/self/fd/{fd}").readlink())

    def mkdir(path, *arguments, **options):
        make(path, *arguments, **options)
        clean.discard(Path(path).parent)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "mkdir", mkdir)
    return clean


def test_an_acknowledged_record_and_all_names_on_its_way_were_synced(tmp_path, synced):
    folder = tmp_path / "new" / "campaigns" / "jacobi"
    with Journal(folder) as journal:
        journal.append(CampaignEnded("kept"))
    (path,) = folder.iterdir()
    assert {path, folder, *list(folder.parents)[:3]} <= synced


def test_a_folder_whose_maker_did_not_sync_it_is_synced(tmp_path, synced, monkeypatch):
    folder = tmp_path / "new" / "campaigns" / "jacobi"
    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", _no_disk)
        with pytest.raises(OSError, match="no disk"):
            make_folder(folder)
    assert folder.is_dir()
    make_folder(folder)
    assert set(list(folder.parents)[:3]) <= synced


def _no_disk(_):
    raise OSError("no disk")


def test_a_file_in_the_way_is_an_error_that_says_so(tmp_path):
    (tmp_path / "state").symlink_to(tmp_path / "not-mounted")
    with pytest.raises(StorageError, match="Not a directory"):
        Journal(tmp_path / "state" / "campaigns" / "jacobi").append(CampaignEnded("lost"))
