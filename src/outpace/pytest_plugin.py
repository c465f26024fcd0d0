"""A pytest plugin: `pytest --outpace` verifies and times every function that has a promotion.

    --outpace               collects them below the root folder, or below the folders given
    outpace_benchmark       a fixture for a project's own benchmarks

Times are those of pytest-benchmark, which stores and compares them. Nothing but pytest is imported
before one of the two is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from outpace.tuner.ci.benching import Benchmark, Promoted


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--outpace`."""
    parser.getgroup("outpace").addoption(
        "--outpace",
        action="store_true",
        help="verify and time every function that has a promotion",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add what `--outpace` collects, before `-k` and `-m` choose."""
    if not config.getoption("--outpace"):
        return
    _refuse_missing_benchmark(config)
    collector: _Promotions = _Promotions.from_parent(session, name="outpace", nodeid="outpace")
    items += collector.collect()


@pytest.fixture
def outpace_benchmark(request: pytest.FixtureRequest) -> Benchmark:
    """`outpace_benchmark(function, "workload")` verifies a decorated function and times it."""
    _refuse_missing_benchmark(request.config)
    from outpace.tuner.ci.benching import Benchmark  # noqa: PLC0415

    return Benchmark(request.getfixturevalue("benchmark"))


class _Promotions(pytest.Collector):
    """The functions that have promotions."""

    def collect(self) -> Iterator[pytest.Function]:
        """One test that verifies the promotions of a function, and one for each workload."""
        from outpace.tuner.ci.benching import promoted_under  # noqa: PLC0415

        for promoted in promoted_under(self.config.rootpath, _folders(self.config)):
            yield self._test(f"{promoted.name}[verify]", _verifying(promoted))
            for workload in promoted.workloads:
                yield self._test(f"{promoted.name}[{workload}]", _timing(promoted, workload))

    def _test(self, name: str, function: Callable[..., None]) -> pytest.Function:
        found: pytest.Function = pytest.Function.from_parent(self, name=name, callobj=function)
        return found


def _verifying(promoted: Promoted) -> Callable[[], None]:
    def test() -> None:
        from outpace.tuner.ci.benching import faults  # noqa: PLC0415

        found = faults(promoted)
        if found:
            pytest.fail("\n".join(found), pytrace=False)

    return test


def _timing(promoted: Promoted, workload: str) -> Callable[[Benchmark], None]:
    def test(outpace_benchmark: Benchmark) -> None:
        outpace_benchmark(promoted.function, workload)

    return test


def _folders(config: pytest.Config) -> list[Path]:
    """The folders given on the command line, else the root."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return [config.rootpath]
    given = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    return [folder for folder in given if folder.is_dir()]


def _refuse_missing_benchmark(config: pytest.Config) -> None:
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError(
            "outpace times with pytest-benchmark, which is not here; pip install 'outpace[ci]', "
            "and do not switch it off"
        )
