"""Bytes that were cut off or changed: never a crash, never a wrong record or promotion."""

import itertools
import json
import tempfile
import zlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outpace.errors import OutpaceError
from outpace.kernels import promotions
from outpace.tuner.journal import CampaignEnded, Journal

ALL_BITS = pytest.param(tuple(1 << bit for bit in range(8)), marks=pytest.mark.soak)


def written(folder, *summaries):
    """The one file of a new journal with these records."""
    with Journal(folder) as journal:
        for summary in summaries:
            journal.append(CampaignEnded(summary, time="2030-01-01T00:00:00.000000+00:00"))
    (path,) = folder.iterdir()
    return path


def read_back(folder):
    reading = Journal(folder).read()
    return [record.summary for record in reading.records], reading.damaged


# --- Journals -----------------------------------------------------------------------------------


def test_a_journal_cut_at_any_byte_loses_no_earlier_record(tmp_path):
    path = written(tmp_path, "first", "last")
    whole = path.read_bytes()
    start = whole.rindex(b"\n{")
    for end in range(start, len(whole) + 1):
        path.write_bytes(whole[:end])
        is_whole = end >= len(whole) - 1  # the newline alone may be missing
        assert read_back(tmp_path) == (
            ["first", "last"] if is_whole else ["first"],
            0 if is_whole or end <= start + 1 else 1,
        )


def test_a_flipped_bit_costs_the_record_that_it_is_in_and_no_other(swift):
    path = written(swift / "journal", "a", "b", "c")
    whole = path.read_bytes()
    lost = dict.fromkeys("abc", 0)
    for place, bit in itertools.product(range(len(whole)), range(8)):
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        kept, damaged = read_back(path.parent)
        assert kept in (["a", "b", "c"], ["b", "c"], ["a", "c"], ["a", "b"])
        if len(kept) == 3:
            assert whole[place : place + 1] == b"\n"  # one of the two between records
        else:
            assert damaged >= 1
            (name,) = set("abc") - set(kept)
            lost[name] += 1
    assert all(count > 500 for count in lost.values())


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_damage_makes_a_record_that_was_not_written(memory, data):
    folder = Path(tempfile.mkdtemp(dir=memory))
    summaries = data.draw(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4))
    path = written(folder, *summaries)
    content = path.read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, len(content)))
        content = content[:start] + data.draw(st.binary(max_size=8)) + content[end:]
    path.write_bytes(content)
    kept, _ = read_back(folder)
    remaining = iter(summaries)
    assert all(summary in remaining for summary in kept)  # in order, each once


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_can_be_read_as_a_journal(memory, content):
    folder = Path(tempfile.mkdtemp(dir=memory))
    (folder / "some.jsonl").write_bytes(content)
    assert read_back(folder)[0] == []


@pytest.mark.parametrize(
    "body", [b"[" * 10**6, b'{"schema":"outpace.campaignended/' + b"9" * 5000 + b'","value":1}']
)
def test_hostile_lines_are_skipped(tmp_path, body):
    path = written(tmp_path, "known")
    line = b'{"crc":%d,"record":%s}\n' % (zlib.crc32(body), body)
    path.write_bytes(line + path.read_bytes())
    assert read_back(tmp_path)[0] == ["known"]


# --- Promotions ---------------------------------------------------------------------------------


@pytest.fixture
def promotion(actors, swift, monkeypatch):
    """A stored promotion with a short draft."""
    monkeypatch.setattr(actors, "FILLER", "")
    return promotions.read(actors.promote(swift, 1))


def outcome_of_damage(stored, path, content):
    """Whether what was stored is read after a change, or refused with a clear error."""
    path.write_bytes(content)
    try:
        found = promotions.read(stored.path)
    except OutpaceError as error:
        return "refused" if str(stored.path) in str(error) else str(error)
    return "read" if found.promotion == stored.promotion else "changed"


@pytest.mark.parametrize("name", ["promotion.json", "draft.py"])
def test_a_promotion_cut_at_any_byte_is_refused(promotion, name):
    path = promotion.path / name
    whole = path.read_bytes()
    outcomes = [outcome_of_damage(promotion, path, whole[:end]) for end in range(len(whole))]
    assert set(outcomes[:-1]) == {"refused"}  # the last newline of JSON may be missing


@pytest.mark.parametrize("masks", [None, ALL_BITS])
@pytest.mark.parametrize("name", ["promotion.json", "draft.py"])
def test_a_promotion_with_a_flipped_bit_is_refused_or_the_same(promotion, name, masks):
    path = promotion.path / name
    whole = path.read_bytes()
    outcomes = Counter()
    for place in range(len(whole)):
        for mask in masks or (1 << place % 8,):
            changed = bytearray(whole)
            changed[place] ^= mask
            outcomes[outcome_of_damage(promotion, path, bytes(changed))] += 1
    assert set(outcomes) <= {"refused", "read"}
    assert outcomes["refused"] > 0.7 * outcomes.total()  # not every blank matters


def test_a_promotion_that_was_laid_out_anew_is_still_the_same(promotion):
    path = promotion.path / "promotion.json"
    content = json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True)
    assert outcome_of_damage(promotion, path, content.encode()) == "read"
