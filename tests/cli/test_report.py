"""The page: what it tells, that it is well formed and safe, and what is refused."""

import html.parser
import json
import os
import re
from collections import Counter
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from outpace import environment
from outpace.cli import report as command
from outpace.codegen.machine import Cache, Machine
from outpace.codegen.reference import load_reference
from outpace.kernels import machine, promotions
from outpace.model import (
    Counterexample,
    Draft,
    Grade,
    Mismatch,
    PairSamples,
    Provenance,
    Speedup,
    Status,
    Target,
    Variant,
)
from outpace.tuner.evaluate import trial_of
from outpace.tuner.journal import (
    CampaignEnded,
    CampaignStarted,
    Journal,
    Promoted,
    Screened,
    TrialRecord,
    campaign_id,
)

for library in ("jinja2", "matplotlib"):
    pytest.importorskip(library, reason="the extra `report` is not installed")

from outpace.tuner.report import data, page  # noqa: E402  (needs the extra)

TARGET = Target("x86_64", "Some CPU avx2", 4)
MACHINE = Machine((Cache(1, 32768, 1),), 20e9)
KERNEL = "def kernel(u, factor, out):\n    out[:] = u * factor\n"
HOSTILE = (
    "</style></code><script>alert(1)</script>\"'><img src=//x onerror=a> $x_1$ {{ 7 * 7 }} \u202e"
)
PAIRS = tuple(
    PairSamples((2e-3, 2.1e-3, 2.2e-3), (1e-3 * k, 1.1e-3 * k, 9e-4 * k)) for k in (1.0, 1.1, 0.9)
)


@pytest.fixture(autouse=True)
def quick_machine(monkeypatch):
    """No crash of the machine is survived here, and its memory is not measured."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(machine, "this_machine", lambda: MACHINE)


class Past:
    """Writes runs of one reference as the tuner would have, a minute apart."""

    def __init__(self, name="module:scale", source="S" * 16):
        self.name, self.source = name, source
        self.minute = 0

    def time(self):
        self.minute += 1
        return f"2026-01-01T{self.minute // 60:02d}:{self.minute % 60:02d}:00"

    def folder(self, drafter="builtin"):
        name = campaign_id(self.name, self.source, TARGET.key, drafter)
        return environment.state_dir() / "campaigns" / name

    def run(self, *records, drafter="builtin", folder=None, started=True):
        """One run that stores these records; those of a check do not say how they began."""
        first = CampaignStarted(
            reference=self.name,
            source_hash=self.source,
            target=TARGET.key,
            drafter=drafter,
            version="1.2",
            time=self.time(),
        )
        with Journal(folder or self.folder(drafter)) as journal:
            for record in (*([first] if started else []), *records):
                journal.append(msgspec.structs.replace(record, time=self.time()))

    def trial(self, status, *, idea="loops", reason="because", source=KERNEL, **fields):
        variant = Variant(Draft("numba", source, provenance=Provenance("test", idea=idea)))
        fields = {"workload": "large", "stage": "confirm", "grade": Grade.B, **fields}
        samples = fields.pop("samples", ())
        trial = trial_of(variant, Status(status), reason, **fields)
        return TrialRecord(trial=msgspec.structs.replace(trial, samples=samples), variant=variant)

    def confirmed(self, seconds, speedup):
        """A confirmation in which the reference took so long and was beaten by so much."""
        samples = (PairSamples((seconds,) * 3, (seconds / speedup,) * 3),)
        gain = Speedup(speedup, 0.9 * speedup, 1.1 * speedup)
        return self.trial("faster", samples=samples, speedup=gain)

    def screened(self, idea, **ratios):
        variant = Variant(Draft("numba", f"{KERNEL}# {idea}\n", provenance=Provenance("t", idea)))
        return Screened(variant=variant, grade=Grade.B, ratios=ratios)


@pytest.fixture
def past():
    return Past()


@pytest.fixture
def campaign(past):
    """One campaign with every kind of record but a promotion."""
    found = Counterexample({"n": 3}, 7, "sorted", Mismatch("out", (2,), 1.0, 2.0, 1e-9, 3))
    past.run(
        past.screened("loops", small=0.5, large=2.0),
        past.screened("tiles", small=3.0, large=1.0),
        past.trial("wrong", reason="wrong at n=3", counterexample=found, stage="check"),
        past.trial("build-failed", reason="no such name", details="line 3: oops", stage="check"),
        past.confirmed(2e-3, 2.0),
        CampaignEnded(summary="3 trials, 0 promotions"),
    )
    return past


@pytest.fixture
def promoted(make, reference, past):
    """A promotion with raw timings, written for the module `reference`; its folder."""
    loaded = load_reference(reference)
    past.name, past.source = loaded.name, loaded.source_hash
    key = promotions.key_for(loaded, TARGET)
    evidence = tuple(
        msgspec.structs.replace(make.evidence(name, 2.0, 1.5), samples=PAIRS)
        for name in ("small", "large")
    )
    promotion = make.promotion(
        reference=loaded.name, key=key, target=TARGET, evidence=evidence, contract=loaded.contract
    )
    path = promotions.write(promotion, loaded)
    past.run(Promoted(path=str(path.resolve()), key=key.hash))
    return path


def rendered(*arguments, **options):
    return page.render(data.gather(*arguments, **options), TARGET.key, MACHINE)


class Outline(html.parser.HTMLParser):
    """What a page is made of.

    Attributes:
        lines: Headings, captions, headings of columns and what figures are said to show.
        tags: Every opening tag with its attributes.
        unclosed: Elements that are open.
    """

    VOID = {"meta", "br", "input", "img", "link", "hr"}
    TOLD = {"title", "h1", "h2", "h3", "h4", "summary", "figcaption", "caption", "th"}

    def __init__(self, text):
        super().__init__()
        self.lines, self.tags, self.unclosed, self._told = [], [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        fields = dict(attributes)
        self.tags.append((tag, fields))
        if tag not in self.VOID:
            self.unclosed.append(tag)
        if tag in self.TOLD:
            self._told = [tag, ""]
        if tag == "svg":
            self.lines.append(f"svg: {fields['aria-label']}")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.unclosed.pop() == tag
        if self._told and tag == self._told[0]:
            self.lines.append(f"{tag}: {' '.join(self._told[1].split())}")
            self._told = None

    def handle_data(self, text):
        if self._told:
            self._told[1] += text


# --- what it tells ------------------------------------------------------------------------------


def test_the_page_has_the_expected_outline(golden, promoted, campaign):
    text = rendered()
    assert rendered() == text
    lines = Outline(text).lines
    name = re.escape(campaign.name)
    told = "\n".join(re.sub(name, "MODULE:scale", line) for line in lines)
    golden("report.txt", told + "\n")


def test_trials_are_told_with_reason_and_counterexample(campaign):
    text = rendered()
    assert "wrong at n=3" in text
    assert "line 3: oops" in text
    case = json.dumps({"sizes": {"n": 3}, "seed": 7, "flavour": "sorted"})
    assert f"--case &#39;{case}&#39;".replace('"', "&#34;") in text
    rows = Counter(fields.get("data-status") for tag, fields in Outline(text).tags if tag == "tr")
    assert {rows[status] for status in ("wrong", "build-failed", "faster")} == {1}


def test_promotions_are_told_with_source_and_roof(promoted):
    text = rendered()
    assert "out[:] = u * factor" in text
    assert "95% in [1.8x, 2.2x]" in text
    assert "grade B" in text
    assert "Bottleneck" in text


def test_a_promotion_of_another_machine_has_no_roof(promoted):
    text = page.render(data.gather(), "another", MACHINE)
    assert "Bottleneck" not in text
    assert "made on another machine" in text


def test_a_promotion_that_is_gone_is_noted(campaign, outpace_json):
    campaign.run(Promoted(path=str(Path("gone").resolve()), key="k"))
    code, answer = outpace_json("report")
    assert code == 0
    assert "no longer there" in answer["notes"][0]


def test_a_damaged_record_is_noted(campaign):
    (file,) = campaign.folder().iterdir()
    file.write_bytes(file.read_bytes().replace(b"wrong at n=3", b"right at n=3"))
    (note,) = data.gather().notes
    assert "damaged" in note


def test_ranks_are_compared(make, reference):
    loaded = load_reference(reference)
    for ranks in (1, 4):
        pairs = (PairSamples((2e-3,) * 3, (1e-3 / ranks**0.5,) * 3),)
        promotions.write(
            make.promotion(
                reference=loaded.name,
                key=promotions.key_for(loaded, TARGET, ranks=ranks),
                evidence=(msgspec.structs.replace(make.evidence("large", 2.0), samples=pairs),),
                target=TARGET,
            ),
            loaded,
        )
    text = rendered(references=[loaded])
    assert "Scaling over MPI ranks" in text
    assert '<td class="number">2x</td><td class="number">50%</td>' in text


# --- history ------------------------------------------------------------------------------------


def test_a_change_over_tunes_and_checks_is_found(past, outpace_json):
    for k in range(8):
        past.run(past.confirmed(1e-3 * (1 + k / 1000), 2.0))
    for k in range(8):
        folder = past.folder("check")
        past.run(
            past.confirmed(2e-3 * (1 + k / 1000), 2.0),
            folder=folder.with_name(f"{folder.name}.{k}"),
            started=False,
        )
    code, answer = outpace_json("report")
    assert code == 0
    (one,) = answer["references"]
    series = {found["quantity"]: found for found in one["history"]}
    (change,) = series["seconds of the reference"]["changes"]
    assert change["run"] == 9
    assert change["after"] / change["before"] == pytest.approx(2.0, rel=0.01)
    assert series["best confirmed speedup"]["changes"] == []
    assert "Changed at run 9" in Path("report.html").read_text(encoding="utf-8")


def test_benchmarks_of_files_are_told_without_campaigns(campaign, outpace_json):
    files = []
    for k in range(12):
        stored = {
            "datetime": f"2026-02-{k + 1:02d}T00:00:00",
            "machine_info": {"node": "here", "cpu": {"brand_raw": "Some CPU"}},
            "commit_info": {"id": f"{k:040x}"},
            "benchmarks": [{"fullname": "t.py::t", "stats": {"median": 1.0 + (k > 5)}}],
        }
        files.append(Path(f"{k}.json"))
        files[-1].write_text(json.dumps(stored))
    code, answer = outpace_json("report", *reversed(files))
    assert code == 0
    assert answer["references"] == []
    (series,) = answer["benchmarks"]
    assert (series["name"], series["machine"]) == ("t.py::t", "here Some CPU")
    assert [change["run"] for change in series["changes"]] == [7]


@pytest.mark.parametrize("seconds", [0.0, float("inf"), float("nan")])
def test_what_was_not_measured_is_left_out_of_the_history(seconds, past):
    for measured in (1.0, seconds, 2.0):
        past.run(past.trial("faster", samples=(PairSamples((measured,), (measured,)),)))
    (one,) = data.gather().references
    (series,) = one.series
    assert [point.value for point in series.points] == [1.0, 2.0]


# --- the page itself ----------------------------------------------------------------------------


def test_what_journals_say_is_text(past):
    past.run(
        past.screened(HOSTILE, **{HOSTILE: 2.0}),
        past.trial(
            "wrong",
            idea=HOSTILE,
            reason=HOSTILE,
            details=HOSTILE,
            source=HOSTILE,
            workload=HOSTILE,
            stage="check",
            counterexample=Counterexample({HOSTILE: 1}, 0, HOSTILE),
        ),
        past.trial("faster", workload=HOSTILE, samples=PAIRS, speedup=Speedup(2.0, 1.0, 3.0)),
        CampaignEnded(summary=HOSTILE),
        drafter=HOSTILE,
    )
    past.run(past.trial("faster", workload=HOSTILE, samples=PAIRS), drafter=HOSTILE)
    text = rendered()
    outline = Outline(text)
    tags = Counter(tag for tag, _ in outline.tags)
    assert outline.unclosed == []
    assert tags["script"] == tags["style"] == 1
    assert tags["img"] == 0
    assert "alert(1)" in text
    assert "{{ 7 * 7 }}" in text
    assert "\u202e" not in text
    assert not any(name.startswith("on") for _, fields in outline.tags for name in fields)


def test_the_source_of_a_promotion_is_text(make, reference):
    loaded = load_reference(reference)
    hostile = Draft(
        "numba", f"{KERNEL}# </pre><script>a</script>\n", provenance=Provenance("</h3>")
    )
    key = promotions.key_for(loaded, TARGET)
    promotion = make.promotion(
        reference=loaded.name, key=key, target=TARGET, variant=Variant(hostile)
    )
    promotions.write(promotion, loaded)
    text = rendered(references=[loaded])
    assert "# &lt;/pre&gt;&lt;script&gt;" in text
    assert Outline(text).unclosed == []


def test_the_page_loads_nothing(promoted, campaign):
    outline = Outline(rendered())
    links = [
        fields[a]
        for _, fields in outline.tags
        for a in ("href", "src", "xlink:href")
        if a in fields
    ]
    assert links
    assert all(link.startswith("#") for link in links)
    policies = [f["content"] for _, f in outline.tags if f.get("http-equiv")]
    assert [policy.split(";")[0] for policy in policies] == ["default-src 'none'"]


def test_the_page_is_well_formed_and_accessible(promoted, campaign):
    text = rendered()
    outline = Outline(text)
    assert outline.unclosed == []
    ids = [fields["id"] for _, fields in outline.tags if "id" in fields]
    assert len(ids) == len(set(ids))
    pointed = re.findall(r'(?:url\(|href=")#([^)"]+)', text)
    assert set(pointed) <= set(ids)
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all("scope" in fields for tag, fields in outline.tags if tag == "th")
    figures = [fields for tag, fields in outline.tags if tag == "svg"]
    assert figures
    assert all(f["role"] == "img" and f["aria-label"] for f in figures)
    drawn = [fields["style"] for _, fields in outline.tags if "style" in fields]
    assert not re.findall(r"#[0-9a-f]{6}", " ".join(drawn)), (
        "a colour that the page does not define"
    )


# --- the command --------------------------------------------------------------------------------


def test_a_reference_chooses_its_campaigns_and_promotions(promoted, campaign, outpace_json):
    Past("other:fn").run(campaign.confirmed(1.0, 2.0))
    spec = f"{next(Path().glob('module_*.py'))}:scale"
    code, answer = outpace_json("report", spec, "--out", "one.html")
    assert code == 0
    assert [one["name"] for one in answer["references"]] == [campaign.name]
    assert [Path(p).name for p in answer["references"][0]["promotions"]] == [promoted.name]
    assert answer["schema"] == "outpace.report/1"
    assert Path("one.html").exists()


def test_a_folder_or_a_journal_may_be_given(campaign, outpace_json):
    Past("other:fn").run(campaign.confirmed(1.0, 2.0))
    folder = campaign.folder()
    for path in (folder, next(folder.iterdir())):
        code, answer = outpace_json("report", path)
        assert code == 0
        assert answer["references"][0]["trials"] == {"build-failed": 1, "faster": 1, "wrong": 1}
        assert len(answer["references"]) == 1


def test_people_are_told_where_the_page_is(campaign, outpace):
    done = outpace("report")
    assert done.exit_code == 0
    assert done.stdout == "written report.html: 1 reference, 0 promotions, 3 trials\n"
    assert f"outpace {version('outpace')}" in Path("report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("subject", "code", "message"),
    [
        ("missing", 2, "no such file or folder: missing"),
        ("missing.json", 2, "no such file or folder: missing.json"),
        ("missing.py:fn", 2, "missing.py"),
        ("other.json", 2, "no JSON of pytest-benchmark"),
        (".", 2, "no campaign and no promotion of any reference"),
    ],
)
def test_what_cannot_be_told_is_refused(subject, code, message, outpace_json):
    Path("other.json").write_text('{"benchmarks": {}}')
    done, answer = outpace_json("report", subject)
    assert done == code
    assert message in answer["error"]
    assert not Path("report.html").exists()


def test_a_page_that_cannot_be_written_is_an_error(campaign, outpace_json):
    code, answer = outpace_json("report", "--out", "no/such/folder.html")
    assert code == 4
    assert "--out" in answer["error"]


def test_a_missing_library_is_named(campaign, outpace_json, monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "jinja2" else name)
    code, answer = outpace_json("report")
    assert code == 4
    assert "outpace[report]" in answer["error"]
