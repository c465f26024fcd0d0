"""list, explain, doctor and draft, over the real rooms."""

from pathlib import Path

import msgspec
import pytest

from outpace import environment
from outpace.cli import probes
from outpace.codegen import drafters
from outpace.codegen.drafters.base import Proposal
from outpace.codegen.reference import load_reference
from outpace.kernels import promotions
from outpace.kernels.languages import languages_here
from outpace.model import Parameter, Tolerance
from outpace.split import Block, Boundary, Pencil, Reduced, Replicated, Ring
from outpace.tuner.production import Demoted
from outpace.tuner.recordlog import RecordLog


@pytest.fixture
def promoted(make, reference):
    """A promotion of the reference on disk, for this machine."""
    loaded = load_reference(reference)
    key = promotions.key_for(loaded, make.target)
    path = promotions.write(make.promotion(key=key, contract=loaded.contract), loaded)
    return path.resolve()


def promote_for_another_machine(make, reference):
    loaded = load_reference(reference)
    target = msgspec.structs.replace(make.target, cores=make.target.cores + 7)
    key = promotions.key_for(loaded, target)
    return promotions.write(make.promotion(key=key, target=target), loaded).resolve()


def test_list(outpace, outpace_json, make, reference, promoted):
    other = promote_for_another_machine(make, reference)
    code, answer = outpace_json("list")
    assert code == 0
    assert answer["schema"] == "outpace.list/1"
    found = {Path(entry["path"]): entry for entry in answer["promotions"]}
    assert found[promoted]["target_matches"]
    assert not found[other]["target_matches"]
    assert found[promoted]["speedup"]["median"] == 12.34
    shown = outpace("list", ".", promoted).stdout
    assert shown.count("module:scale") == 2
    assert promoted.name[:8] in shown.replace("\n", "")


def test_list_passes_over_damage_and_says_so(outpace, outpace_json, promoted):
    (promoted / "promotion.json").write_text("{")
    code, answer = outpace_json("list")
    assert (code, answer["promotions"]) == (0, [])
    assert answer["damaged"][0]["path"] == str(promoted)
    done = outpace("list")
    assert done.stderr.startswith("warning: ")
    assert "no promotions found" in done.stdout


@pytest.mark.usefixtures("promoted")
def test_list_does_not_look_into_hidden_folders(outpace_json):
    Path("promoted").rename(".hidden")
    assert outpace_json("list")[1]["promotions"] == []


def test_explain_shows_the_contract_as_understood(outpace, outpace_json, reference):
    code, answer = outpace_json("explain", reference)
    assert code == 0
    assert answer["schema"] == "outpace.explain/1"
    assert answer["contract"]["arguments"] == [
        {"name": "u", "dtype": "float64", "dims": ["n"], "mutated": False},
        {"name": "factor", "dtype": "float64", "dims": None, "mutated": False},
    ]
    assert answer["contract"]["workloads"] == {"small": {"n": 64}, "large": {"n": 4096}}
    assert answer["inputs"]["u"].startswith("Uniform(")
    assert answer["acceptance"].startswith("derived: ")
    assert answer["promotions"] == []
    shown = outpace("explain", reference).stdout
    for part in ("factor", "scalar", "n=4096", "Uniform", "calls run the reference"):
        assert part in shown


def test_explain_shows_what_went_wrong_in_production(outpace, outpace_json, reference):
    source_hash = outpace_json("explain", reference)[1]["source_hash"]
    record = Demoted(
        reference="reference:scale",
        promotion="77aa",
        variant="88bb",
        sizes={"n": 64},
        mismatch="out0[3] is 1.0, expected 2.0",
        arguments=None,
    )
    with RecordLog(environment.state_dir() / "demotions" / source_hash, (Demoted,)) as log:
        log.append(record)
    (found,) = outpace_json("explain", reference)[1]["demotions"]
    assert found == {
        "time": record.time,
        "promotion": "77aa",
        "sizes": {"n": 64},
        "mismatch": "out0[3] is 1.0, expected 2.0",
        "arguments": None,
    }
    assert "wrong in production at " in outpace("explain", reference).stdout


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"tolerance": Tolerance(rtol=1e-6)}, "declared: |draft - reference| <= 0 + 1e-06"),
        ({"reproducible": True}, "may not be reassociated"),
        ({"split": {"n": Block(halo=1)}}, "n with halo 1"),
        ({"split": {"n": Block(halo=1, boundary=Boundary.PERIODIC)}}, "n with halo 1 periodic"),
        ({"split": {"n": Ring()}}, "n round a ring"),
        ({"split": {"n": Pencil()}}, "n as a pencil"),
        ({"split": {"n": Replicated()}}, "n whole"),
        ({"steps": "count"}, "time steps  count"),
        ({"reduce": {"out": Reduced(reassociable=False)}}, "out by sum, in order"),
        ({"where": "n == 2**q"}, "n == 2**q"),
    ],
)
def test_explain_shows_options(outpace, reference, monkeypatch, changes, rule):
    loaded = load_reference(reference)
    changed = msgspec.structs.replace(loaded.contract, **changes)
    monkeypatch.setitem(loaded.__dict__, "contract", changed)
    assert rule in outpace("explain", reference).stdout
    assert outpace("explain", reference, "--json").exit_code == 0


def test_explain_says_what_is_served(outpace, outpace_json, reference, promoted):
    (entry,) = outpace_json("explain", reference)[1]["promotions"]
    assert entry["served"]
    assert (entry["path"], entry["why_not"]) == (str(promoted), [])
    shown = outpace("explain", reference).stdout
    assert "\nserved  loops\n" in shown
    assert "4.00x [3.60x, 4.40x] at small and sizes within 0.5 to 2 times" in shown


def test_explain_says_why_not(outpace_json, make, reference, monkeypatch):
    promote_for_another_machine(make, reference)
    (entry,) = outpace_json("explain", reference)[1]["promotions"]
    cores = make.target.cores
    assert entry["why_not"] == [f"made for allowed cores {cores + 7}, here is {cores}"]
    monkeypatch.setenv("OUTPACE_DISABLE", "1")
    (entry,) = outpace_json("explain", reference)[1]["promotions"]
    assert entry["why_not"][0] == "OUTPACE_DISABLE is set"


def test_explain_notices_a_changed_source(outpace_json, make, reference):
    loaded = load_reference(reference)
    key = msgspec.structs.replace(promotions.key_for(loaded, make.target), source_hash="other")
    promotions.write(make.promotion(key=key), loaded)
    (entry,) = outpace_json("explain", reference)[1]["promotions"]
    assert not entry["served"]
    assert "has changed" in entry["why_not"][0]


def test_explain_warns_of_other_versions_and_of_damage(outpace, make, reference):
    loaded = load_reference(reference)
    target = msgspec.structs.replace(make.target, versions={"numba": "0.1"})
    key = promotions.key_for(loaded, target)
    path = promotions.write(make.promotion(key=key, target=target), loaded)
    assert "numba was 0.1" in outpace("explain", reference).stdout
    (path / "promotion.json").write_text("{")
    done = outpace("explain", reference)
    assert done.exit_code == 0
    assert done.stderr.startswith("warning: promotion ignored")


def test_doctor(outpace, outpace_json):
    code, answer = outpace_json("doctor")
    findings = {f["name"]: f for f in answer["findings"]}
    assert (code, answer["ok"], answer["schema"]) == (0, True, "outpace.doctor/1")
    assert findings["numba"]["ok"]
    assert {"C compiler", "cores", "memory", "GPU", "MPI", "clock"} <= set(findings)
    assert all(f["hint"] for f in answer["findings"] if not f["ok"])
    assert findings["isolation: libraries"]["ok"]
    assert findings["isolation grade"]["value"] in "ABCD"
    done = outpace("doctor")
    assert done.exit_code == 0
    assert "numba" in done.stdout


def test_doctor_fails_without_a_state_folder(outpace, outpace_json, tmp_path):
    (tmp_path / "xdg").mkdir(exist_ok=True)
    (tmp_path / "xdg/state").write_text("a file where a folder should be")
    code, answer = outpace_json("doctor")
    assert (code, answer["ok"]) == (4, False)
    assert "XDG_STATE_HOME" in outpace("doctor").stdout


def test_doctor_says_how_to_get_a_compiler(outpace_json, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = {f["name"]: f for f in outpace_json("doctor")[1]["findings"]}
    assert not findings["C compiler"]["ok"]
    assert "gcc" in findings["C compiler"]["hint"]


def test_a_package_that_does_not_import_is_missing(monkeypatch):
    def broken(name):
        raise ImportError(f"{name} lost a library")

    monkeypatch.setattr(probes.importlib, "import_module", broken)
    finding = next(f for f in probes.examine() if f.name == "numba")
    assert not finding.ok
    assert finding.essential
    assert "lost a library" in finding.value


class FakeDrafter:
    """Proposes one draft with a parameter."""

    def __init__(self, make):
        self.make = make

    def propose(self, task):
        assert task.languages == languages_here()
        draft = msgspec.structs.replace(
            self.make.draft("tiled loops"), parameters=(Parameter("TILE", (8, 16)),)
        )
        return Proposal((draft,), ("line 7: `sort` is not lifted",))


@pytest.fixture
def fake_drafter(make, monkeypatch):
    monkeypatch.setattr(drafters, "drafter_named", lambda _name: FakeDrafter(make))


@pytest.mark.usefixtures("fake_drafter")
def test_draft_prints_sources_and_notes(outpace, outpace_json, reference):
    done = outpace("draft", reference)
    assert done.exit_code == 0
    assert '# outpace: {"parameters": {"TILE": [8, 16]}}' in done.stdout
    assert "def kernel(u, factor, out):" in done.stdout
    assert "note: line 7: `sort` is not lifted" in done.stdout
    _, answer = outpace_json("draft", reference)
    assert answer["drafts"][0]["parameters"] == {"TILE": [8, 16]}
    assert answer["notes"] == ["line 7: `sort` is not lifted"]


def test_draft_shows_loop_nests(outpace, outpace_json, reference):
    done = outpace("draft", reference, "--show", "nests")
    assert done.exit_code == 0
    assert "u[" in done.stdout
    code, answer = outpace_json("draft", reference, "--show", "nests")
    assert (code, answer["nests"]) == (0, done.stdout)
    assert "leave it out" in outpace("draft", reference, "--show", "nests", "--out", "x").stderr
