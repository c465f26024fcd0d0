"""Defaults from pyproject.toml, and how budgets are written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.cli.budget import parse_budget
from outpace.cli.settings import Settings, read_settings
from outpace.errors import UsageError
from outpace.tuner import api


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5", api.Budget(minutes=5)),
        ("5m", api.Budget(minutes=5)),
        ("2.5 min", api.Budget(minutes=2.5)),
        ("90s", api.Budget(minutes=1.5)),
        ("1h", api.Budget(minutes=60)),
        ("12 drafts", api.Budget(drafts=12)),
        ("12D", api.Budget(drafts=12)),
        ("1 draft", api.Budget(drafts=1)),
    ],
)
def test_budgets(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "m", "5 parsecs", "1.5 drafts", "nan", "1e3", "5 5"]
)
def test_budgets_that_mean_nothing(text):
    with pytest.raises(UsageError, match="write minutes"):
        parse_budget(text)


@given(st.text(max_size=8))
def test_any_budget_is_positive_or_an_error(text):
    try:
        budget = parse_budget(text)
    except UsageError:
        return
    assert (budget.minutes or budget.drafts or 0) > 0


def write(text: str, folder: Path | None = None) -> None:
    ((folder or Path()) / "pyproject.toml").write_text(text)


def test_the_nearest_file_counts():
    inner = Path("a/b").absolute()
    inner.mkdir(parents=True)
    write('[tool.outpace]\ndrafter = "far"\n')
    write('[tool.outpace]\ndrafter = "near"\nlanguage = "c"\n', Path("a"))
    assert read_settings(inner) == Settings(drafter="near", languages=("c",))
    assert read_settings(Path.cwd()).drafter == "far"


def test_a_file_without_the_table_changes_nothing():
    write("[project]\nname = 'x'\n")
    assert read_settings(Path.cwd()) == Settings()


def test_defaults_reach_the_tuner_and_options_win(outpace, fake_api, make, reference):
    write(
        "[tool.outpace]\ndrafter = 'replay'\nlanguage = ['numba', 'c']\nbudget = 7\n"
        "promoted = 'kept'\n"
    )
    fake_api.result = make.result()
    assert outpace("tune", reference).exit_code == 0
    assert outpace("tune", reference, "--drafter", "builtin", "--budget", "3d").exit_code == 0
    first, second = fake_api.calls
    assert first["drafter"] == "replay"
    assert first["languages"] == ("numba", "c")
    assert first["budget"] == api.Budget(minutes=7)
    assert first["promoted"] == Path.cwd() / "kept"
    assert second["drafter"] == "builtin"
    assert second["budget"] == api.Budget(drafts=3)


def test_the_environment_wins_over_the_file(outpace, fake_api, make, reference, monkeypatch):
    write("[tool.outpace]\npromoted = 'kept'\n")
    monkeypatch.setenv("OUTPACE_PROMOTED", "/from/environment")
    fake_api.result = make.result()
    outpace("tune", reference)
    assert fake_api.calls[0]["promoted"] == Path("/from/environment")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.outpace]\nbudgett = 1\nzeal = 2\n", "unknown keys: budgett, zeal"),
        ("[tool.outpace]\ndrafter = 1\n", "`drafter`"),
        ("[tool.outpace]\nlanguage = []\n", "`language`"),
        ("[tool.outpace]\nlanguage = [1]\n", "`language`"),
        ("[tool.outpace]\nbudget = true\n", "`budget`"),
        ("[tool]\noutpace = 1\n", "must be a table"),
        ("[tool.outpace\n", "cannot be read"),
    ],
)
def test_mistakes_in_the_file(outpace, fake_api, reference, text, message):
    write(text)
    done = outpace("tune", reference)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not fake_api.calls
