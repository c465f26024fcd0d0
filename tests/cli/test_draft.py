"""Campaign folders as `outpace draft` writes them; no model, or one that is asked through files."""

import json
from pathlib import Path

import msgspec
import pytest

from outpace.codegen.drafters import Proposal
from outpace.codegen.machine import Machine
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import read_draft
from outpace.model import Parameter
from outpace.tuner import drafting
from outpace.tuner.travel import travelling

MODEL = ("--drafter", "openai", "--model", "some/model", "--samples", 3)


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.setattr(travelling, "this_machine", Machine)  # measuring it takes a while
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def two_drafts(make, monkeypatch):
    """The built-in drafter proposes these."""

    class Drafter:
        name = "builtin"

        def propose(self, task):
            tiled = msgspec.structs.replace(
                make.draft("tiled loops"), parameters=(Parameter("TILE", (8, 16)),)
            )
            return Proposal((tiled, make.draft("../odd name")), ("line 7 is not lifted",))

    monkeypatch.setattr(drafting, "drafter_named", lambda _: Drafter())


def answers(requests, *texts):
    """The lines of answers to the requests in a file."""
    names = [json.loads(line)["custom_id"] for line in Path(requests).read_text().splitlines()]
    assert len(names) == len(texts)
    lines = []
    for name, text in zip(names, texts, strict=True):
        body = {
            "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100},
        }
        response = {"status_code": 200, "body": body}
        lines.append(json.dumps({"custom_id": name, "response": response, "error": None}))
    return lines


def reply(body, idea):
    source = f"def kernel(u, factor, out):\n    out[:] = {body}\n"
    return f'{{"language": "numba", "idea": "{idea}"}}\n```python\n{source}```'


def campaign(folder):
    return json.loads((Path(folder) / "campaign.json").read_text())


@pytest.mark.usefixtures("two_drafts")
def test_a_folder_holds_drafts_their_origin_and_the_reference(outpace_json, reference):
    code, answer = outpace_json("draft", reference, "--out", "there")
    assert code == 0
    tiled, odd = answer["files"]
    assert Path(tiled).name.startswith("tiled_loops-")
    assert Path(odd).parent == Path("there/drafts")
    written = read_draft(Path(tiled), language_named("numba"))
    assert written.hash == answer["drafts"][0]["draft"]
    assert written.parameters == (Parameter("TILE", (8, 16)),)
    held = campaign("there")
    assert held["schema"] == "outpace.campaign/1"
    value = held["value"]
    assert value["notes"] == ["line 7 is not lifted"]
    assert [d["draft"] for d in value["drafts"]] == [d["draft"] for d in answer["drafts"]]
    module = reference.partition(":")[0]
    assert value["reference"]["path"] == f"../{module}"
    assert Path("there", value["reference"]["copy"]).read_text() == Path(module).read_text()
    assert answer["spent"] is None


@pytest.mark.usefixtures("two_drafts")
def test_the_same_command_changes_nothing(outpace_json, reference):
    _, first = outpace_json("draft", reference, "--out", "there")
    edited = Path(first["files"][0])
    edited.write_text(edited.read_text() + "# mine\n")
    before = campaign("there")
    code, again = outpace_json("draft", reference, "--out", "there")
    assert (code, again["files"]) == (0, first["files"])
    assert campaign("there") == before
    assert "# mine" in edited.read_text()


@pytest.mark.usefixtures("two_drafts")
def test_modules_that_the_reference_imports_go_along(outpace, reference):
    Path("physics").mkdir()
    Path("physics/__init__.py").write_text("from physics.constants import LIMIT\n")
    Path("physics/constants.py").write_text("LIMIT = 2.0\n")
    Path("unrelated.py").write_text("LIMIT = 3.0\n")
    module = Path(reference.partition(":")[0])
    module.write_text(f"from physics import LIMIT\n{module.read_text()}")
    assert outpace("draft", reference, "--out", "there").exit_code == 0
    files = {str(f.relative_to("there/reference")) for f in Path("there/reference").rglob("*.py")}
    assert files == {module.name, "physics/__init__.py", "physics/constants.py"}


def test_a_folder_that_cannot_be_written_is_an_error(outpace, reference):
    Path("there").write_text("a file where a folder should be")
    done = outpace("draft", reference, "--out", "there", "--json")
    assert done.exit_code == 4
    assert "cannot be written" in json.loads(done.stdout)["error"]


def test_requests_and_answers_travel_as_files(outpace, outpace_json, reference):
    code, asked = outpace_json("draft", reference, *MODEL, "--out", "there", "--batch-file", "q")
    assert (code, asked["requests"], asked["drafts"]) == (0, 3, [])
    told = outpace("draft", reference, "--out", "there", "--batch-file", "again")
    assert "run_batch -i again -o again.results.jsonl --model some/model" in told.stdout
    assert Path("again").read_text() == Path("q").read_text()

    lines = answers("q", reply("u * factor", "first"), reply("factor * u", "second"), "Sure!")
    Path("a").write_text("\n".join(["no JSON", lines[2], lines[0], lines[0]]))
    arguments = ("draft", reference, "--out", "there", "--price", "1,2", "--batch-results")
    code, answer = outpace_json(*arguments, "a")
    assert code == 0
    assert [d["idea"] for d in answer["drafts"]] == ["first"]
    assert "must open with one line of JSON" in answer["refused"][0]
    told = "\n".join(answer["notes"])
    for part in ("a, line 1 is no answer", "again; it was left out", "has no answer in a"):
        assert part in told
    assert answer["spent"]["cost"] == pytest.approx(2 * (1000 + 2 * 100) / 1e6)

    _, asked = outpace_json("draft", reference, "--out", "there", "--batch-file", "q")
    assert asked["requests"] == 1
    assert Path("q").read_text().splitlines()[0] in Path("again").read_text()
    Path("a").write_text("\n".join(reversed(lines)))
    _, answer = outpace_json(*arguments, "a")
    assert sorted(d["idea"] for d in answer["drafts"]) == ["first", "second"]
    assert answer["spent"]["requests"] == 3
    provenance = campaign("there")["value"]["drafts"][0]["provenance"]
    assert (provenance["drafter"], provenance["model"]) == ("openai", "some/model")
    assert (provenance["tokens"], provenance["cost"]) == (1100, pytest.approx(0.0012))

    done = outpace("draft", reference, "--out", "there", "--batch-file", "q")
    assert done.exit_code == 2
    assert "every request of this round is answered" in done.stderr


def test_the_budget_limits_requests(outpace_json, reference, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    arguments = (*MODEL, "--max-tokens-total", 9000, "--batch-file", "q")
    _, answer = outpace_json("draft", reference, "--out", "there", *arguments)
    assert answer["requests"] == 1
    assert "only 1 requests were written: the budget" in answer["notes"][0]
    files = [*Path("there").rglob("*.*"), Path("q")]
    assert not [f for f in files if f.is_file() and b"sk-secret" in f.read_bytes()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (MODEL, "keep it in a folder with --out DIR"),
        (("--batch-file", "q"), "keep it in a folder with --out DIR"),
        (("--out", "there", "--batch-file", "q"), "add openai"),
        (("--out", "there", *MODEL), "write --model NAME and"),
        (("--out", "there", *MODEL, "--batch-file", "q", "--batch-results", "a"), "one of them"),
        (("--out", "there", *MODEL, "--batch-results", "a"), "with --batch-file FILE first"),
        (("--out", "there", *MODEL, "--batch-file", "q", "--max-cost", 1), "write --price IN,OUT"),
    ],
)
def test_options_that_make_no_sense_are_refused(outpace, reference, arguments, message):
    done = outpace("draft", reference, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("two_drafts")
def test_a_folder_goes_on_only_as_it_began(outpace, reference):
    given = ("draft", reference, "--language", "numba", "--out", "there")
    assert outpace(*given).exit_code == 0
    done = outpace(*given, *MODEL, "--batch-file", "q")
    assert done.exit_code == 2
    assert "other drafters, languages or options of the model (builtin; numba)" in done.stderr
    module = Path(reference.partition(":")[0])
    other = Path("other.py")
    other.write_text(module.read_text().replace("u * factor", "factor * u"))
    done = outpace("draft", "other.py:scale", "--out", "there")
    assert done.exit_code == 2
    assert "(changed: scale); restore it or draft into another folder" in done.stderr
