"""What a newer outpace wrote: passed over with one warning, never rewritten, never deleted."""

import importlib.util
import json
import re
import warnings
import zlib

import numpy as np
import pytest

from outpace.errors import StorageError
from outpace.kernels import promotions, target
from outpace.kernels.promotions import PromotionWarning
from outpace.model import Draft, Evidence, Grade, Promotion, Speedup, Variant
from outpace.tuner.journal import AlphaLedger, CampaignEnded, Journal

MODULE = """
import numpy as np
from jaxtyping import Float64

import outpace


@outpace.optimize(workloads={"only": {"n": 64}})
def scale(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return 2.0 * u
"""
KERNEL = "def kernel(u, out):\n    out[:] = 3.0 * u\n"


def tree(folder):
    """Every file below a folder with its content."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- Promotions ---------------------------------------------------------------------------------


@pytest.fixture
def scale(tmp_path):
    """A decorated function in a module of its own."""
    path = tmp_path / "skewed.py"
    path.write_text(MODULE)
    spec = importlib.util.spec_from_file_location("skewed", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.scale


def promotion_of(fn):
    contract = fn.reference.contract
    (workload,) = contract.workloads
    return Promotion(
        fn.reference.name,
        promotions.key_for(fn.reference, target.hardware(), [workload]),
        Variant(Draft("numba", KERNEL)),
        (Evidence(workload, Speedup(2.0, 1.9, 2.1), (), "native", {}, 0.01),),
        target.hardware(),
        Grade.B,
        contract,
    )


@pytest.fixture
def newer(scale):
    """The folder of a promotion for `scale` in a schema of the future."""
    path = promotions.write(promotion_of(scale), scale.reference)
    record = json.loads((path / "promotion.json").read_text())
    record["schema"] = "outpace.promotion/2"
    record["value"]["proof"] = "of a kind that is not known here"
    (path / "promotion.json").write_text(json.dumps(record))
    return path


def test_a_newer_promotion_is_ignored_with_one_warning_and_the_reference_runs(scale, newer):
    before = tree(newer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            assert np.array_equal(scale(np.ones(64)), np.full(64, 2.0))
        assert "newer outpace" in str(scale.explain(np.ones(64)))
    (warning,) = (w for w in caught if w.category is PromotionWarning)
    assert re.search(rf"{newer}.*newer outpace.*update outpace", str(warning.message))
    assert tree(newer) == before


def test_a_newer_promotion_is_not_replaced(scale, newer, tmp_path):
    before = tree(newer.parent)
    with pytest.raises(StorageError, match=r"newer outpace and is not replaced.*--promoted"):
        promotions.write(promotion_of(scale), scale.reference)
    assert tree(newer.parent) == before
    promotions.write(promotion_of(scale), scale.reference, tmp_path / "elsewhere")
    assert len(promotions.find(scale.reference, tmp_path / "elsewhere")) == 1


# --- Journals and error budgets -----------------------------------------------------------------


def of_newer_version(line, old, new):
    body = re.fullmatch(rb'\n{"crc":\d+,"record":(.*)}\n', line)[1].replace(old, new)
    return b'\n{"crc":%d,"record":%s}\n' % (zlib.crc32(body), body)


@pytest.mark.parametrize(
    ("old", "new"), [(b"/1", b"/2"), (b"outpace.campaignended", b"outpace.campaignpaused")]
)
def test_newer_records_are_skipped_with_a_note_and_kept(tmp_path, old, new):
    with Journal(tmp_path) as journal:
        journal.append(CampaignEnded("known"))
    (path,) = tmp_path.iterdir()
    line = path.read_bytes()
    path.write_bytes(of_newer_version(line, old, new) + line)
    before = tree(tmp_path)
    with Journal(tmp_path) as journal:
        journal.append(CampaignEnded("next"))
    reading = journal.read()
    assert [record.summary for record in reading.records] == ["known", "next"]
    assert reading.damaged == 0
    assert reading.notes == ("skipped 1 record(s) written by a newer outpace",)
    assert before.items() <= tree(tmp_path).items()


@pytest.mark.parametrize("content", [b"", b"\xff" * 50, b'{"schema":"outpace.alphaspent/9"}\n'])
def test_a_share_that_cannot_be_read_counts_as_spent(content):
    first = AlphaLedger("5f1e")
    share = first.next_alpha()
    for path in first.path.iterdir():
        path.write_bytes(content)
    before = tree(first.path)
    second = AlphaLedger("5f1e")
    assert second.next_alpha() == pytest.approx(share / 4)
    second.spend(share / 8, "large")
    assert before.items() <= tree(first.path).items()


def test_an_error_budget_that_cannot_be_read_is_refused(state):
    (state / "alpha").mkdir(parents=True)
    (state / "alpha" / "5f1e").write_text("of another kind")
    (state / "alpha" / "77aa").symlink_to(state / "not-mounted")
    for source_hash in ("5f1e", "77aa"):
        ledger = AlphaLedger(source_hash)
        with pytest.raises(StorageError, match=source_hash):
            ledger.next_alpha()
        with pytest.raises(StorageError, match=source_hash):
            ledger.spend(0.001, "large")
