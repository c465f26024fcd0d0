"""Defaults from pyproject.toml, and how budgets are written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.cli import probes
from outpace.cli.budget import parse_budget
from outpace.cli.settings import Settings, read_settings
from outpace.codegen.llm.options import ModelOptions, Prices
from outpace.codegen.llm.probe import Abilities
from outpace.errors import UsageError
from outpace.tuner import api, drafting


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
        ("tool = 1\n", "must be a table"),
        ("[tool.outpace]\nrounds = '4'\n", "`rounds`"),
        ("[tool.outpace]\nsamples = 0\n", "`samples`"),
        ("[tool.outpace]\nsamples = true\n", "`samples`"),
        ("[tool.outpace]\nmax-tokens-total = 1.5\n", "`max-tokens-total`"),
        ("[tool.outpace]\nmax-cost = -1\n", "`max-cost`"),
        ("[tool.outpace]\nmax-minutes = inf\n", "`max-minutes`"),
        ("[tool.outpace]\nprice = 'cheap'\n", "`price`"),
        ("[tool.outpace]\nmodel = ''\n", "`model`"),
        ("[tool.outpace]\nbase_url = 'http://x'\n", "unknown keys: base_url"),
    ],
)
def test_mistakes_in_the_file(outpace, fake_api, reference, text, message):
    write(text)
    done = outpace("tune", reference)
    assert done.exit_code == 2
    assert message in done.stderr
    assert str(Path("pyproject.toml").absolute()) in done.stderr
    assert not fake_api.calls


MODEL = """[tool.outpace]
drafter = "builtin,openai"
base-url = "http://localhost:8000/v1"
model = "m"
rounds = 3
samples = 5
max-tokens-total = 1000
max-cost = 2.5
max-minutes = 20
price = "0.15,0.60"
"""


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_model_may_be_named_in_the_file(outpace, fake_api, make, reference):
    write(MODEL)
    fake_api.result = make.result()
    assert outpace("tune", reference).exit_code == 0
    assert fake_api.calls[0]["budget"] == api.Budget(minutes=20)
    assert fake_api.calls[0]["model"] == ModelOptions(
        "http://localhost:8000/v1", "m", rounds=3, samples=5, most_tokens=1000, most_cost=2.5,
        most_minutes=20, prices=Prices(0.15, 0.6),
    )  # fmt: skip


def test_options_win_over_the_model_in_the_file(outpace, fake_api, make, reference, monkeypatch):
    write(MODEL)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    fake_api.result = make.result()
    done = outpace(
        "tune", reference, "--model", "n", "--rounds", 1, "--samples", 2, "--max-tokens-total", 3,
        "--max-cost", 4, "--max-minutes", 5, "--price", "6,7",
    )  # fmt: skip
    assert done.exit_code == 0
    assert outpace("tune", reference, "--base-url", "http://localhost:2/v1").exit_code == 0
    first, second = (call["model"] for call in fake_api.calls)
    assert first == ModelOptions(
        "http://localhost:1/v1", "n", rounds=1, samples=2, most_tokens=3, most_cost=4,
        most_minutes=5, prices=Prices(6, 7),
    )  # fmt: skip
    assert second.base_url == "http://localhost:2/v1"


def test_a_model_in_the_file_is_not_asked_by_another_drafter(outpace, fake_api, make, reference):
    write(MODEL)
    fake_api.result = make.result()
    assert outpace("tune", reference, "--drafter", "builtin").exit_code == 0
    assert fake_api.calls[0]["model"] is None


def test_the_doctor_tries_the_model_in_the_file(outpace_json, monkeypatch):
    write(MODEL)
    asked = []
    monkeypatch.setattr(probes, "examine", list)
    monkeypatch.setattr(drafting, "examine_model", lambda options: asked.append(options) or FOUND)
    outpace_json("doctor", "--llm")
    assert (asked[0].base_url, asked[0].model) == ("http://localhost:8000/v1", "m")


FOUND = drafting.ModelFacts(Abilities(None, several=True, usage=True), None)


@pytest.mark.parametrize("key", ["api-key", "api_key", "apiKey", "openai-api-key", "token", "KEY"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(outpace, fake_api, reference, key):
    write(f"[tool.outpace]\n{key} = 'sk-0123456789'\n")
    done = outpace("tune", reference)
    assert done.exit_code == 2
    assert f"`{key}`" in done.stderr
    assert "set the environment variable OPENAI_API_KEY" in done.stderr
    assert "sk-0123456789" not in done.output
    assert not fake_api.calls
