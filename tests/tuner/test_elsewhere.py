import pytest

from outpace.model import Draft, Grade, Parameter, Status, Variant
from outpace.tuner.elsewhere import records_elsewhere
from outpace.tuner.evaluate import trial_of
from outpace.tuner.journal import CampaignEnded, CampaignStarted, Journal, Screened, TrialRecord

DRAFT = Draft("numba", "a", (Parameter("T", (1, 2, 4)),))
SIBLING = Draft("numba", "b", (Parameter("T", (2, 8)),))
STRANGER = Draft("numba", "c", (Parameter("U", (2, 8)),))


def started(target, reference="m.py:f"):
    return CampaignStarted(
        reference=reference, source_hash="0", target=target, drafter="d", version="0"
    )


def screened(draft, ratios, **params):
    return Screened(variant=Variant(draft, params), grade=Grade.A, ratios=ratios)


def ended(draft, status, **params):
    variant = Variant(draft, params)
    return TrialRecord(trial=trial_of(variant, status, "why"), variant=variant)


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "f-0000") as journal:
        journal.append(started("here"))
        yield journal


def write(path, *records):
    with Journal(path) as journal:
        for record in records:
            journal.append(record)


def test_other_targets_and_sibling_drafts_are_sources(journal, tmp_path):
    journal.append(screened(DRAFT, {"w": 8.0}, T=4))  # of a run that ended: not taken as it is
    journal.append(CampaignEnded(summary="over"))
    journal.append(started("here"))
    journal.append(screened(DRAFT, {"w": 2.0}, T=1))  # of a run that goes on: known
    journal.append(screened(SIBLING, {"w": 4.0}, T=8))
    journal.append(screened(STRANGER, {"w": 4.0}, U=8))
    write(tmp_path / "f-0000.20260101T000000Z", started("here"), screened(DRAFT, {"w": 2.0}, T=2))
    write(
        tmp_path / "f-1111",
        started("there"),
        screened(DRAFT, {"w": 2.0, "v": 8.0}, T=2),
        ended(DRAFT, Status.CRASHED, T=4),
        ended(DRAFT, Status.INCONCLUSIVE, T=1),
    )
    found = records_elsewhere(journal, "m.py:f", DRAFT)
    assert [(r.params, r.seconds) for r in found] == [
        ({"T": 4}, pytest.approx(0.125)),
        ({"T": 8}, pytest.approx(0.25)),
        ({"T": 2}, pytest.approx(0.25)),
        ({"T": 4}, None),
    ]
    assert len({r.source for r in found}) == 3
    assert found[2].source == found[3].source


def test_other_references_and_damaged_journals_are_left_out(journal, tmp_path):
    write(tmp_path / "f-1111", started("there", "other.py:f"), screened(DRAFT, {"w": 2.0}, T=2))
    write(tmp_path / "g-2222", started("there"), screened(DRAFT, {"w": 2.0}, T=2))
    (tmp_path / "f-3333").mkdir()
    (tmp_path / "f-3333" / "journal.jsonl").write_bytes(b"\xff{")
    (tmp_path / "f-4444").write_text("no folder")
    assert records_elsewhere(journal, "m.py:f", DRAFT) == []
