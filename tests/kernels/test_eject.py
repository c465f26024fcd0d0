"""An ejected package runs promoted kernels where outpace is not installed."""

import ast
import json
import os
import subprocess
import sys

import pytest

from outpace.errors import UsageError
from outpace.kernels import promotions
from outpace.kernels.eject import eject
from outpace.kernels.languages import language_named
from outpace.model import Draft, Parameter, Variant

SMOOTH = """
LIMIT = 100


def halved(x):
    return x / 2


@outpace.optimize(
    workloads={"small": dict(n=8, m=3, steps=2), "large": dict(n=64, m=3, steps=2)},
    where="n < 100",
    mutates=("total",),
)
def smooth(u: Float64[np.ndarray, "n+2 m"], total: Float64[np.ndarray, "m"], steps: int = 2,
           ) -> tuple[Float64[np.ndarray, "n m"], float]:
    total += steps
    return halved(u[:-2] + u[2:]), float(total[0])
"""
# The kernels add 1000, so that results tell who ran.
SOURCES = {
    "numba": "import numba\n\n\n@numba.njit\ndef kernel(u, total, steps, out0, out1):\n"
    "    total += steps\n    out1[0] = total[0] + EXTRA\n"
    "    for i in range(out0.shape[0]):\n        for j in range(out0.shape[1]):\n"
    "            out0[i, j] = (u[i, j] + u[i + 2, j]) / 2\n",
    "c": "void kernel(int64_t n, int64_t m, const double *restrict u, double *restrict total,\n"
    "            int64_t steps, double *restrict out0, double *restrict out1)\n{\n"
    "    for (int64_t j = 0; j < m; j++) total[j] += steps;\n    out1[0] = total[0] + EXTRA;\n"
    "    for (int64_t i = 0; i < n * m; i++) out0[i] = (u[i] + u[i + 2 * m]) / 2;\n}\n",
}
CALLER = """
import json, sys
sys.modules["outpace"] = None
sys.path.insert(0, sys.argv[1])
import numpy as np
from fast import smooth
results = []
for n in (8, 12, 64, 17, 99, 100):
    u, total = np.arange(3.0 * (n + 2)).reshape(n + 2, 3), np.zeros(3)
    out, last = smooth(u, total=total)
    assert (out == (u[:-2] + u[2:]) / 2).all() and (total == 2).all() and type(last) is float
    results.append(last)
u = np.asfortranarray(np.ones((10, 3)))
results.append(smooth(u, np.zeros(3), 2)[1])
print(json.dumps(results))
"""


@pytest.fixture(params=["numba", "c"])
def smooth(request, module, promote):
    language = language_named(request.param)
    if language.unavailable() is not None:
        pytest.skip("there is no C compiler")
    fn = module(SMOOTH).smooth
    draft = Draft(
        request.param,
        SOURCES[request.param],
        (Parameter("EXTRA", (1, 1000)),),
        flags={"-ffast-math": True} if request.param == "c" else {},
    )
    variant = Variant(draft, {"EXTRA": 1000})
    promotions.write(promote.make(fn, "", variant=variant), fn.reference)
    return fn


def test_it_runs_without_outpace_as_the_decorated_function_would(smooth, tmp_path):
    files = eject(smooth.reference, promotions.find(smooth.reference), tmp_path / "out" / "fast")
    assert all(path.is_file() for path in files)
    command = [sys.executable, "-c", CALLER, str(tmp_path / "out")]
    home = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, env=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Kernel at 8, 12, 64, 99; reference at 17 and 31, outside the domain, and for other layouts.
    assert json.loads(done.stdout) == [1002.0, 1002.0, 1002.0, 2.0, 1002.0, 2.0, 2.0]


def test_it_says_where_it_comes_from(smooth, tmp_path):
    (stored,) = promotions.find(smooth.reference)
    eject(smooth.reference, [stored], tmp_path / "fast")
    text = ast.get_docstring(ast.parse((tmp_path / "fast" / "__init__.py").read_text()))
    assert smooth.reference.source_hash in text
    assert "m=3, n=64, steps=2: 8.10x over the reference, 95% in [7.90, 8.30]" in text
    evidence = tmp_path / "fast" / f"evidence_{stored.promotion.key.hash}.json"
    assert evidence.read_bytes() == (stored.path / "promotion.json").read_bytes()


def test_a_folder_that_is_there_is_left_alone(smooth, tmp_path):
    (tmp_path / "fast").mkdir()
    with pytest.raises(UsageError, match="remove it, or choose another folder"):
        eject(smooth.reference, promotions.find(smooth.reference), tmp_path / "fast")
    assert list((tmp_path / "fast").iterdir()) == []
    with pytest.raises(UsageError, match="is no name of a Python module"):
        eject(smooth.reference, promotions.find(smooth.reference), tmp_path / "my-fast")
