"""Golden files: expected text in tests/golden, named by the test, updated by one option."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from outpace.model import Conditions
from outpace.tuner.conditions import Watch

GOLDEN = Path(__file__).parent / "golden"

# A machine that is slow or busy fails no test.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def calm_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that runs beside a test makes its answer inconclusive."""
    monkeypatch.setattr(Watch, "conditions", lambda _: Conditions())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write what tests produce to tests/golden"
    )


@pytest.fixture(scope="session", autouse=True)
def _no_worker():
    """A pytest that a test starts is no worker of this one, which pytest-benchmark would think."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_XDIST_WORKER", raising=False)
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` compares text with tests/golden/<name>, or writes it."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"no {path}; run pytest with --update-golden and review the file"
        assert text == path.read_text(), f"{path} differs; review, then run with --update-golden"

    return check
