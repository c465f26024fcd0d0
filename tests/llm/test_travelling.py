"""A campaign folder whose model answers at once: what is asked, recorded, and asked again."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from outpace.cli.app import app
from outpace.codegen.machine import Machine
from outpace.kernels.target import current_target
from outpace.model import Grade, Status, Trial, Variant
from outpace.tuner.journal import CampaignStarted, Journal, Screened, TrialRecord
from outpace.tuner.travel import travelling
from outpace.tuner.travel.folder import CampaignFolder, RanOn

KEY = "sk-secret-0123456789"
MODULE = """
import numpy as np
import outpace
from jaxtyping import Float64

@outpace.optimize(workloads={"only": {"n": 64}}, inputs={"u": outpace.Uniform(-1, 1)})
def scale(u: Float64[np.ndarray, "n"], factor: float) -> Float64[np.ndarray, "n"]:
    return u * factor
"""
FOLDER = CampaignFolder(Path("campaign"))


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "xdg" / name.lower()))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(travelling, "this_machine", Machine)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def command(tmp_path, model, answers, replies):
    """Arguments that draft into the folder; every reply is another kernel."""
    count = itertools.count()

    def answer(request):
        if request.get("max_tokens") == 512:
            return answers.completion(*["hm"] * request["n"])
        numbers = itertools.islice(count, request.get("n", 1))
        return answers.completion(*(replies(f"idea {i}", f"u * factor + {i}") for i in numbers))

    model.default = answer
    module = tmp_path / f"scaling_{abs(hash(tmp_path))}.py"
    module.write_text(MODULE)
    asked = ("--drafter", "openai", "--base-url", model.url, "--model", "fake", "--samples", "4")
    return ["draft", f"{module.name}:scale", "--out", "campaign", *asked, "--json"]


@pytest.fixture
def draft(command):
    def run(*more):
        done = CliRunner().invoke(app, [*command, *more])
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    return run


def prompts(model):
    return [r["messages"][-1]["content"] for r in model.requests if r.get("max_tokens") != 512]


def ideas(answer):
    return [draft["idea"] for draft in answer["drafts"]]


def come_back(*speedups):
    """Puts trials of the last drafts into the folder, as a run elsewhere does; None is wrong."""
    target = current_target()
    FOLDER.keep_target(RanOn(target, Machine(bandwidth=3e9)))
    held = FOLDER.drafts(FOLDER.read())[-len(speedups) :]
    with Journal(FOLDER.journals / f"scale-{'0' * 16}") as journal:
        journal.append(
            CampaignStarted(
                reference="m:scale", source_hash="", target=target.key, drafter="", version=""
            )
        )
        for one, speedup in zip(held, speedups, strict=True):
            variant = Variant(one.draft)
            if speedup is None:
                trial = Trial(one.draft.hash, "numba", {}, "", Status.WRONG, "out[3] differs")
                journal.append(TrialRecord(trial=trial, variant=variant))
            else:
                ratios, seconds = {"only": speedup}, {"only": 0.5}
                journal.append(
                    Screened(variant=variant, grade=Grade.A, ratios=ratios, reference=seconds)
                )


def test_what_is_paid_for_is_not_asked_again(draft, model):
    first = draft()
    assert ideas(first) == [f"idea {i}" for i in range(4)]
    asked = len(model.requests)
    again = draft()
    assert (ideas(again), again["spent"]) == (ideas(first), first["spent"])
    assert len(model.requests) == asked
    files = [file for file in FOLDER.path.rglob("*") if file.is_file()]
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert model.url not in (FOLDER.path / "campaign.json").read_text()


def test_each_round_learns_from_the_trials_of_those_before(draft, model):
    draft()
    come_back(2.0, 0.5, None, None)
    second = draft()
    assert (ideas(second), second["rounds"]) == ([f"idea {i}" for i in range(4, 8)], 2)
    prompt = prompts(model)[2]
    assert "idea 0 (numba): only 250 ms (2x of the reference)" in prompt
    assert "Copying memory runs at 3 GB/s" in prompt
    assert "Make it right." in prompts(model)[3]
    asked = len(model.requests)
    assert ideas(draft()) == ideas(second)
    assert len(model.requests) == asked

    come_back(None, None, None, 8.0)
    third = draft()
    assert third["rounds"] == 3
    entries = {entry.provenance.idea: entry for entry in FOLDER.read().drafts}
    parents = [entries[idea].provenance.parent for idea in ideas(third)]
    # The first lineage goes on from its best, though its last drafts were wrong.
    assert parents == [entries[name].draft for name in ("idea 0", "idea 0", "idea 7", "idea 7")]


def test_what_a_batch_left_out_can_be_asked_of_a_server(draft, model, replies):
    assert draft("--batch-file", "q")["requests"] == 4
    lines = []
    for position, line in enumerate(Path("q").read_text().splitlines()):
        message = {"content": replies(f"batch {position}", f"u * factor - {position}")}
        response = {"body": {"choices": [{"message": message, "finish_reason": "stop"}]}}
        lines.append(json.dumps({"custom_id": json.loads(line)["custom_id"], "response": response}))
    Path("a").write_text("\n".join(lines[::-1][1:]))
    answer = draft("--batch-results", "a")
    assert ideas(answer) == ["batch 0", "batch 1", "batch 2"]
    assert answer["spent"]["estimated"]
    assert model.requests == []
    assert ideas(draft()) == ["batch 0", "batch 1", "batch 2", "idea 0"]
    assert len(prompts(model)) == 1


def test_a_folder_can_be_repeated_without_a_server(draft, command, model):
    first = draft()
    model.close()
    repeat = [*command[:2], "--out", "again", "--drafter", "replay:campaign", "--json"]
    done = CliRunner().invoke(app, repeat)
    assert done.exit_code == 0, done.stderr
    assert ideas(json.loads(done.stdout)) == ideas(first)


def test_a_round_that_was_killed_goes_on(command, model, answers):
    program = [sys.executable, "-c", "from outpace.cli import main; main()", *command]
    child = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(_):
        os.kill(child.pid, signal.SIGKILL)
        return answers.completion("lost")

    usual = model.default
    model.answers = [usual, usual, usual, usual, kill]  # three of them find out what it can do
    assert child.wait() == -signal.SIGKILL
    assert len(prompts(model)) == 2
    assert FOLDER.read().drafts == ()
    done = CliRunner().invoke(app, command)
    assert ideas(json.loads(done.stdout)) == [f"idea {i}" for i in range(4)]
    assert len(prompts(model)) == 3
