"""Correct programs of every family of calls: no fault, and what a real MPI gives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from outpace.tuner.mpi import launch
from outpace.tuner.simcomm import Options, installed, run_ranks

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in (FOLDER / "correct").glob("*.py"))


def simulated(programs, name, ranks, **options):
    with installed():
        outcome = run_ranks(ranks, lambda comm: programs.results_of(name, comm), **options)
    return outcome.check()[0]


@pytest.mark.parametrize("ranks", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("name", NAMES)
def test_a_correct_program_gives_the_same_whatever_the_order(programs, name, ranks):
    first = simulated(programs, name, ranks)
    assert len(first) == ranks
    for seed in (1, 2):
        assert simulated(programs, name, ranks, seed=seed) == first
    assert simulated(programs, name, ranks, options=Options(eager_bytes=10_000)) == first


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """What the programs find under a real MPI with 1 to 4 ranks, by ranks and name."""
    if (missing := launch.unavailable()) is not None:
        pytest.skip(missing)
    file = tmp_path_factory.mktemp("real") / "results.json"
    ranks = [launch.mpiexec(), "-n", "4", sys.executable, "-m", "mpi4py"]
    command = [*ranks, FOLDER / "programs.py", file]
    variables = {**os.environ, **launch.settings(4)}
    subprocess.run(list(map(str, command)), env=variables, check=True, timeout=60)
    return json.loads(file.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_a_correct_program_gives_what_a_real_mpi_gives(programs, real, name):
    for ranks in range(1, 5):
        assert simulated(programs, name, ranks) == real[str(ranks)][name]
