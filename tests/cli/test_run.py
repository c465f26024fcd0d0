"""Campaigns that travel: drafted here, judged there, and drafted further with what came back."""

import json
import re
import shutil
from pathlib import Path

import pytest

from outpace.codegen.machine import Machine
from outpace.model import Grade
from outpace.tuner import evaluate, plan
from outpace.tuner.campaign import Campaign
from outpace.tuner.journal import AlphaLedger
from outpace.tuner.travel import travelling

MODULE = """
import numpy as np
import outpace
from jaxtyping import Float64
from HELPER import bend


@outpace.optimize(workloads={"only": {"n": 16_000}})
def running(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    out = np.empty_like(u)
    last = 0.0
    for i in range(u.size):
        last = 0.5 * last + bend(u[i])
        out[i] = last
    return out
"""
HELPER = "SHIFT = 0.5\n\n\ndef bend(x):\n    return x * x + SHIFT\n"
GOOD = """import numba


@numba.njit
def kernel(u, out):
    last = 0.0
    for i in range(u.size):
        last = 0.5 * last + u[i] * u[i] + 0.5
        out[i] = last
"""
WRONG = GOOD.replace("+ 0.5\n", "+ 0.25\n")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few pairs decide, and the machine's bandwidth is not measured."""
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)
    monkeypatch.setattr(plan, "AUDIT_SECONDS", 0.05)
    monkeypatch.setattr(AlphaLedger, "next_alpha", lambda _: 0.4)
    monkeypatch.setattr(travelling, "this_machine", Machine)


@pytest.fixture
def grades(monkeypatch):
    """The lowest grade of isolation at which each draft might run."""
    found = []

    def lowest_grade(draft, *, accept_risk):
        found.append(original(draft, accept_risk=accept_risk))
        return found[-1]

    original = evaluate.lowest_grade
    monkeypatch.setattr(evaluate, "lowest_grade", lowest_grade)
    return found


@pytest.fixture
def module(tmp_path):
    """A reference with a helper of its own; names that no other test imports."""
    mark = f"{abs(hash(tmp_path))}"
    Path(f"helper_{mark}.py").write_text(HELPER)
    path = Path(f"reference_{mark}.py")
    path.write_text(MODULE.replace("HELPER", f"helper_{mark}"))
    return path


@pytest.fixture
def drafted(outpace_json, module):
    """Has a model draft these sources into a folder; None stands for prose."""

    def draft(*sources, out="campaign"):
        spec = f"{module}:running"
        model = ("--drafter", "openai", "--model", "m", "--samples", len(sources))
        options = () if Path(out).exists() else model
        code, asked = outpace_json("draft", spec, *options, "--out", out, "--batch-file", "q")
        assert (code, asked["requests"]) == (0, len(sources))
        requests = [json.loads(line) for line in Path("q").read_text().splitlines()]
        with Path("a").open("w") as file:
            for request, source in zip(requests, sources, strict=True):
                header = {"language": "numba", "idea": f"idea {hash(source) % 997}"}
                text = f"{json.dumps(header)}\n```python\n{source}```" if source else "prose"
                body = {
                    "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 50, "completion_tokens": 50},
                }
                answer = {"custom_id": request["custom_id"], "response": {"body": body}}
                file.write(json.dumps(answer) + "\n")
        code, answer = outpace_json("draft", spec, "--out", out, "--batch-results", "a")
        assert code == 0
        return [request["body"]["messages"][1]["content"] for request in requests], answer

    return draft


@pytest.fixture
def elsewhere(module, tmp_path, monkeypatch):
    """Takes the folder to another machine, where the reference is not."""

    def move():
        there = tmp_path / "there"
        there.mkdir()
        shutil.move("campaign", there)
        monkeypatch.chdir(there)
        monkeypatch.setenv("HOME", str(there))
        for name in ("STATE", "CACHE", "DATA"):
            monkeypatch.setenv(f"XDG_{name}_HOME", str(there / name.lower()))

    return move


def journals(folder="campaign"):
    return list(Path(folder, "trials").glob("*/*.jsonl"))


def records(kind):
    return sum(file.read_text().count(f"outpace.{kind}/1") for file in journals())


def test_drafts_travel_are_judged_and_bring_the_next_round(
    drafted, elsewhere, outpace_json, grades, monkeypatch
):
    home = Path.cwd()
    drafted(GOOD, None, WRONG)
    elsewhere()
    code, answer = outpace_json("run", "campaign")
    assert (code, answer["schema"]) == (0, "outpace.tune/1"), answer
    assert {t["status"] for t in answer["trials"]} == {"faster", "wrong", "invalid"}
    assert {t["tokens"] for t in answer["trials"]} == {100}
    assert answer["spent"]["requests"] == 3
    assert set(grades) == {Grade.B}  # a model's draft does not run where isolation is weaker
    promoted = Path(answer["promotion"]["path"])
    assert promoted.is_relative_to(Path("campaign/reference/promoted/running").resolve())
    stored = json.loads((promoted / "promotion.json").read_text())["value"]
    assert stored["variant"]["draft"]["provenance"]["model"] == "m"

    wrong = next(trial for trial in answer["trials"] if trial["status"] == "wrong")
    monkeypatch.chdir(home)
    shutil.move("../there/campaign", "campaign")
    prompts, answer = drafted(GOOD, WRONG.replace("0.25", "0.125"), None)
    assert answer["rounds"] == 2
    assert "the same as the earlier draft" in answer["refused"][0]
    assert re.search(r"only [\d.]+ [mu]s \([\d.]+x of the reference\)", prompts[0])
    assert "by a change of structure" in prompts[0]
    assert "Make it right." in prompts[2]
    assert f"{wrong['counterexample']['mismatch']['expected']:.4g}"[:-1] in prompts[2]


def test_a_run_that_was_killed_goes_on_and_an_edited_draft_is_the_users(
    drafted, outpace_json, grades, monkeypatch
):
    _, answer = drafted(GOOD, WRONG)
    edited, removed = map(Path, answer["files"])
    edited.write_text(edited.read_text().replace("0.5\n", "0.5  # mine\n"))
    removed.unlink()

    def killed(self, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Campaign, "confirm_best", killed)
    assert outpace_json("run", "campaign")[0] == 130
    assert records("screened") == 1
    assert grades == [Grade.D]
    monkeypatch.setattr(Campaign, "confirm_best", lambda self: [])
    code, answer = outpace_json("run", "campaign")
    assert code == 0
    assert records("screened") == 1
    assert len(journals()) == 2

    edited.write_text("# outpace: {no JSON\n")
    code, answer = outpace_json("run", "campaign")
    assert code == 2
    assert edited.name in answer["error"]


def test_a_changed_reference_is_refused_and_its_copy_is_offered(
    drafted, module, outpace, elsewhere
):
    drafted(WRONG)
    changed = Path("changed.py")
    changed.write_text(module.read_text().replace("0.5 * last", "0.25 * last"))
    done = outpace("run", "campaign", "changed.py:running")
    assert done.exit_code == 2
    assert "(changed: running)" in done.stderr
    copy = f"campaign/reference/{module}:running"
    assert f"outpace run campaign {copy}" in done.stderr
    module.write_text(changed.read_text())
    Path("campaign/reference", module.name).write_text(changed.read_text())
    elsewhere()
    done = outpace("run", "campaign")
    assert done.exit_code == 2
    assert "changed: running" in done.stderr
    assert "own copy" not in done.stderr


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, 2, "holds no campaign.json; write a campaign with"),
        ("{}", 2, "campaign.json: not a stored Campaign"),
        ('{"schema": "outpace.campaign/9", "value": {}}', 2, "written by a newer outpace"),
    ],
)
def test_a_folder_without_a_readable_campaign_is_refused(outpace, content, code, message):
    Path("campaign").mkdir()
    if content is not None:
        Path("campaign/campaign.json").write_text(content)
    done = outpace("run", "campaign")
    assert done.exit_code == code
    assert message in done.stderr


def test_the_help_has_an_example(outpace):
    assert "outpace run campaign --budget" in outpace("run", "--help").stdout


def test_a_folder_may_not_name_files_outside_of_it(drafted, outpace):
    drafted(WRONG)
    file = Path("campaign/campaign.json")
    file.write_text(re.sub(r'"file": "[^"]*"', '"file": "../../mine.py"', file.read_text()))
    done = outpace("run", "campaign")
    assert done.exit_code == 2
    assert "which lies outside" in done.stderr
