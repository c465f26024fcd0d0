"""How threads of OpenMP wait where kernels are loaded."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys

import pytest

from outpace.kernels.languages.openmp import SPINS

pytestmark = pytest.mark.skipif(
    ctypes.util.find_library("gomp") is None, reason="GNU's OpenMP runtime is not installed"
)
LOADED = """
import os
from outpace.kernels.languages.openmp import load_runtime
load_runtime()
assert os.environ.get("GOMP_SPINCOUNT") == {left!r}
"""


def shown(left: str | None, **variables: str) -> str:
    """What the runtime says of itself when it is loaded with these variables."""
    kept = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(left=left)],
        env={**kept, "OMP_DISPLAY_ENV": "verbose", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


def test_threads_spin_briefly_and_the_environment_stays_as_it_was():
    assert f"GOMP_SPINCOUNT = '{SPINS}'" in shown(None)


@pytest.mark.parametrize("variables", [{"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}])
def test_what_the_user_says_counts(variables):
    assert f"'{SPINS}'" not in shown(variables.get("GOMP_SPINCOUNT"), **variables)
