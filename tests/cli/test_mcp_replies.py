"""What an agent reads: every answer says what to do next, and nothing that it must not know."""

import re
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import pytest

from outpace.cli.mcp_replies import Report, TaskList, TaskText, VerdictText
from outpace.codegen.llm.standing import Standing, Timing
from outpace.kernels.promotions import StoredPromotion
from outpace.model import Status
from outpace.tuner.agents.desk import Account, Task
from outpace.tuner.agents.verdicts import Phase, Stage, Verdict
from outpace.tuner.api import Result

TOOLS = {"list_tasks", "get_task", "submit_draft", "get_verdict", "finish", "report"}
TASK = Task("m:f/c", "m:f", "c", Phase.OPEN, "", "", 0, None, None)


def tools_in(text):
    """Tools that a sentence names."""
    return {word for word in re.findall(r"[a-z_]+", text) if word in TOOLS}


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("phase", list(Phase))
def test_every_verdict_says_what_to_do_next(stage, phase):
    for status, left in product((None, *Status), (None, 0, 3)):
        task = replace(TASK, phase=phase, drafts_left=left)
        verdict = Verdict("d1", task.name, stage, status=status)
        named = tools_in(VerdictText.of(verdict, task).next)
        if stage is not Stage.JUDGED:
            assert named == {"get_verdict"}
        elif phase is not Phase.OPEN:
            assert named == {"report"}
        elif left == 0 or status is None:
            assert named == {"finish"}
        elif status is not Status.BLOCKED:
            assert "submit_draft" in named


@pytest.mark.parametrize("phase", list(Phase))
def test_every_task_says_what_to_do_next(phase):
    task = replace(TASK, phase=phase)
    listed, taken = TaskList.of([task]), TaskText.of(task, "the prompt")
    wanted = {"get_task"} if phase is Phase.OPEN else {"report"}
    assert tools_in(listed.next) == wanted
    assert tools_in(taken.next) == ({"submit_draft"} if phase is Phase.OPEN else {"report"})
    assert taken.prompt == "the prompt"


def test_one_open_task_is_enough_to_go_on():
    closed = replace(TASK, phase=Phase.CLOSED, reason="it is random")
    listed = TaskList.of([closed, TASK])
    assert listed.tasks[0].state == "closed: it is random"
    assert tools_in(listed.next) == {"get_task"}


def test_waiting_drafts_say_how_many_are_before_them():
    told = VerdictText.of(Verdict("d3", TASK.name, Stage.WAITING, ahead=2), TASK)
    assert "2 drafts before it" in told.next


def test_a_report_names_what_is_left_to_do():
    account = Account("m:f", Phase.OPEN, "", "", 2, None, None)
    assert tools_in(Report.of([account]).next) == {"finish"}
    assert tools_in(Report.of([replace(account, phase=Phase.FINISHING)]).next) == {"report"}
    closed = Report.of([replace(account, phase=Phase.CLOSED, reason="it is random")])
    assert closed.functions[0].summary == "it cannot be judged: it is random"
    assert "Tell the person" in closed.next


def test_a_report_tells_of_every_promotion(make):
    draft = make.draft("one loop")
    best = Standing(draft, {"large": Timing(0.1, 0.25)}, {}, ())
    promotion = make.promotion()
    result = Result(
        "m:f",
        make.target,
        (),
        None,
        promotion,
        Path("b"),
        ("a note",),
        others=(StoredPromotion(Path("a"), promotion),),
    )
    account = Account("m:f", Phase.FINISHED, "", "", 2, best, result)
    function = asdict(Report.of([account]).functions[0])
    assert [one["folder"] for one in function["promotions"]] == ["a", "b"]
    assert function["best"]["speedups"] == {"large": 2.5}
    assert function["notes"] == ["a note"]
    gain = function["promotions"][0]["gains"][0]
    assert gain["low"] <= gain["speedup"] <= gain["high"]


def test_a_report_says_why_nothing_was_promoted(make):
    trials = (make.trial(Status.WRONG), make.trial(Status.NOT_FASTER, idea="slow"))
    result = Result("m:f", make.target, trials, None, None, None)
    account = Account("m:f", Phase.FINISHED, "", "", 2, None, result)
    assert "nothing was promoted for m:f" in Report.of([account]).functions[0].summary
