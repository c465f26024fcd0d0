"""What people see: the live table, and how a campaign ends."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from outpace.cli.board import Board
from outpace.cli.style import age, ratio
from outpace.cli.summary import show_campaign, show_checks, show_verdict
from outpace.cli.watch import Lines, LiveTable, Warnings, campaign_table, watching
from outpace.model import Status
from outpace.tuner import api
from outpace.tuner.events import Ended, Message, Moved, Planned, Progress, Timed


def console(**options) -> Console:
    return Console(**{"file": io.StringIO(), "width": 120, "height": 12, "record": True, **options})


def drawn(board: Board, limit: int = 99) -> str:
    recorded = console()
    recorded.print(campaign_table(board, limit))
    return recorded.export_text()


def line_of(text: str, label: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(label))


def test_a_row_follows_its_variant(make):
    board = Board()
    board.notice(Planned("loops", "v1", "numba"))
    assert line_of(drawn(board), "loops") == ["loops", "numba", "waiting"]
    board.notice(Moved("v1", "screening", "pair 3"))
    board.notice(Timed("v1", "large", 3.456))
    board.notice(Progress(3, 8, "process pairs"))
    assert line_of(drawn(board), "loops") == ["loops", "numba", "3.46x", "screening", "pair", "3"]
    assert "process pairs 3/8" in drawn(board)
    board.notice(Progress(8, 8, "process pairs"))
    board.notice(Ended("v1", make.trial("faster", speedup=12.34, reason="confirmed")))
    assert line_of(drawn(board), "loops") == ["loops", "numba", "12.3x", "faster", "confirmed"]
    assert "process pairs" not in drawn(board)


def test_one_lost_workload_decides_a_row(make):
    board = Board()
    board.notice(Planned("loops", "v1", "numba"))
    board.notice(Ended("v1", make.trial("not-faster", workload="small", reason="slower")))
    board.notice(Ended("v1", make.trial("faster", workload="large", speedup=2.0)))
    assert line_of(drawn(board), "loops")[2:] == ["2.00x", "not-faster", "slower"]


def test_markup_in_labels_is_text():
    board = Board()
    board.notice(Planned("loops [red]", "v1", "numba"))
    assert "loops [red]" in drawn(board)


def test_a_small_screen_shows_what_says_most(make):
    board = Board()
    for i in range(9):
        board.notice(Planned(f"variant{i}", f"v{i}", "numba"))
    board.notice(Ended("v3", make.trial("wrong")))
    board.notice(Timed("v5", "large", 2.0))
    board.notice(Moved("v7", "building"))
    text = drawn(board, limit=2)
    assert "variant5" in text
    assert "variant7" in text
    assert "... and 7 more variants" in text


VARIANTS = st.sampled_from(["v1", "v2", "v3"])
EVENTS = st.one_of(
    st.builds(Planned, st.text(max_size=5), VARIANTS, st.just("numba")),
    st.builds(Moved, VARIANTS, st.sampled_from(["waiting", "building", "confirming"])),
    st.builds(Timed, VARIANTS, st.sampled_from(["a", "b"]), st.floats(0.01, 1000)),
    st.builds(Progress, st.integers(0, 3), st.just(3), st.just("pairs")),
    st.builds(Message, st.text(max_size=5)),
)


@given(st.lists(EVENTS, max_size=12), st.integers(1, 4))
def test_any_order_of_events_can_be_drawn(events, limit):
    board = Board()
    for event in events:
        board.notice(event)
    shown = board.shown(limit)
    assert len(shown) == min(limit, len(board.rows))
    order = [id(row) for row in board.rows.values()]
    assert [order.index(id(row)) for row in shown] == sorted(order.index(id(r)) for r in shown)
    assert drawn(board, limit)


def test_the_live_table_ends_with_every_row(make):
    recorded = console(force_terminal=True)
    with watching(quiet=False, console=recorded) as observer:
        assert isinstance(observer, LiveTable)
        for i in range(20):
            observer.notice(Planned(f"variant{i:02}", f"v{i}", "numba"))
        observer.notice(Message("compilers are slow today", "warning"))
        observer.notice(Ended("v3", make.trial("wrong", reason="out[0] differs")))
    last = recorded.file.getvalue().split("variant00")[-1]
    assert "variant19" in last
    assert "out[0] differs" in last
    assert "warning: compilers are slow today" in recorded.export_text()


def test_ci_gets_no_live_table_and_quiet_gets_warnings(monkeypatch):
    terminal = console(force_terminal=True)
    with watching(quiet=True, console=terminal) as observer:
        assert isinstance(observer, Warnings)
    monkeypatch.setenv("CI", "true")
    with watching(quiet=False, console=terminal) as observer:
        assert isinstance(observer, Lines)


def shown(show, *values) -> str:
    recorded = console()
    show(recorded, *values)
    return recorded.export_text()


def test_a_promotion_ends_in_a_panel(make):
    path = Path.cwd() / "promoted/scale/0123"
    result = make.result(promotion=make.promotion(), path=path, notes=["line 3 was not lifted"])
    text = shown(show_campaign, result, None)
    for part in (
        "loops (numba) for module:scale",
        "12.3x",
        "95% in [11.1x, 13.6x]",
        "3.00x",
        "written to promoted/scale/0123",
        "commit that folder",
        "isolation grade B",
        "note: line 3 was not lifted",
    ):
        assert part in text
    told = shown(show_campaign, result, Path("kept"), {"line 3 was not lifted"})
    assert "OUTPACE_PROMOTED=" in told
    assert "not lifted" not in told


def test_no_colours_where_they_are_unwanted(make, monkeypatch):
    result = make.result(promotion=make.promotion(), path=Path("p"))
    options = {"force_terminal": True, "color_system": "standard"}
    colourful = console(**options)
    show_campaign(colourful, result, None)
    assert "\x1b[32m" in colourful.file.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = console(**options)
    show_campaign(plain, result, None)
    assert "\x1b[32m" not in plain.file.getvalue()


def test_no_promotion_says_why_and_lists_the_nearest_first(make):
    trials = [
        make.trial("wrong", idea="broken", reason="out[3] is 4, expected 5"),
        make.trial("not-faster", idea="slow", speedup=0.5),
        make.trial("not-faster", idea="near", speedup=0.99),
        make.trial("faster", idea="near", speedup=1.2, workload="small"),
    ]
    lines = shown(show_campaign, make.result(*trials), None).splitlines()
    assert lines[0] == (
        "nothing was promoted for module:scale: of 3 variants, 2 not-faster, 1 wrong"
    )
    assert [line.split()[0] for line in lines[1:]] == ["near", "slow", "broken"]
    assert "out[3] is 4, expected 5" in lines[3]


def test_an_undecided_campaign_says_how_to_go_on(make):
    text = shown(show_campaign, make.result(make.trial("inconclusive")), None)
    assert "run the same command again" in text
    assert "no draft was judged" in shown(show_campaign, make.result(), None)


def test_a_verdict(make):
    trial = make.trial("wrong", reason="out[3] is 4, expected 5")
    text = shown(show_verdict, make.result(trial, verdict=Status.WRONG), None)
    assert text.startswith("module:scale: wrong\n")
    assert "out[3] is 4, expected 5" in text


def test_checks():
    result = api.CheckResult(Path("p"), "m:f", Status.NOT_FASTER, "it is slower now", None)
    assert line_of(shown(show_checks, [result]), "m:f")[1] == "not-faster"


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.50x"), (12.34, "12.3x"), (1234.5, "1234x")])
def test_ratios_have_few_digits(value, text):
    assert ratio(value) == text


def test_ages():
    assert age("2020-01-01T00:00:00+00:00").endswith(" d")
    assert age("yesterday") == ""
