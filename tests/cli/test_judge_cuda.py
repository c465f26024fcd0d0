"""`outpace judge` of a draft in CUDA where there is no GPU: it is simulated, never promoted."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from outpace.kernels.gpu.device import device_missing
from outpace.kernels.languages.cuda import CUDA
from outpace.model import Status
from outpace.tuner import unplugged
from outpace.tuner.evaluate import trial_of

PLAN = {
    "steps": [
        {
            "launch": "scale",
            "grid": ["ceildiv(n, BLOCK)"],
            "block": ["BLOCK"],
            "arguments": ["u", "factor", "out", "n"],
        }
    ]
}
CODE = """
__global__ void scale(const double *u, double factor, double *out, int64_t n) {
  int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
  if (i < n) out[i] = factor * u[i];
}
"""

pytestmark = [
    pytest.mark.skipif(device_missing() is None, reason="this machine has a GPU"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler"),
]


def draft_file(code=CODE):
    path = Path("scale.cu")
    header = {"plan": PLAN, "parameters": {"BLOCK": [64]}}
    path.write_text(f"// outpace: {json.dumps(header)}\n{code}", encoding="utf-8")
    return path


@pytest.fixture(params=["stand-in", pytest.param("simulator", marks=pytest.mark.soak)])
def _simulator(request, monkeypatch):
    """The simulator, or at once the trial that it ends with; the wrong draft below meets it."""
    if request.param == "stand-in":
        monkeypatch.setattr(
            unplugged, "check_cuda", lambda _, variant, **__: trial_of(variant, Status.CHECKED, "")
        )


@pytest.mark.usefixtures("_simulator")
def test_a_right_draft_is_checked_and_left_undecided(outpace_json, reference):
    code, answer = outpace_json("judge", reference, draft_file(), "--target", "cuda:sm_90")
    assert (code, answer["verdict"], answer["promotion"]) == (3, "checked", None)
    (trial,) = answer["trials"]
    assert (trial["language"], trial["status"]) == ("cuda", "checked")
    assert answer["notes"][-1] == "checked in simulation; only a GPU times and promotes"
    compiled = [note for note in answer["notes"] if "registers" in note]
    missing = [note for note in answer["notes"] if "not compiled for sm_90: NVRTC" in note]
    assert (len(compiled), len(missing)) == ((1, 0) if CUDA.cannot_compile() is None else (0, 1))
    assert not [*Path().rglob("promotion.json")]


def test_a_wrong_draft_is_wrong_and_can_be_run_again(outpace, reference):
    path = draft_file(CODE.replace("i < n", "i < n - 1"))
    judged = outpace("judge", reference, path, "--quiet")
    assert judged.exit_code == 1
    assert "not compiled for a GPU; --target cuda:sm_90 does that" in judged.stdout
    (line,) = (line for line in judged.stdout.splitlines() if "to see it again" in line)
    again = outpace(*shlex.split(line.partition(": ")[2])[1:])
    assert again.exit_code == 1
    assert "wrong at n=1" in again.stdout


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("sm_90", "--target sm_90 is no GPU known here; there are cuda:sm_70"),
        ("cuda:sm_91", "--target cuda:sm_91 is no GPU known here"),
    ],
)
def test_a_gpu_that_is_not_known_is_refused(outpace, reference, target, message):
    refused = outpace("judge", reference, draft_file(), "--target", target)
    assert refused.exit_code == 2
    assert message in refused.stderr


def test_a_gpu_is_named_for_drafts_in_cuda_only(outpace, reference):
    Path("draft.py").write_text("def kernel(u, factor, out):\n    out[:] = u * factor\n")
    refused = outpace("judge", reference, "draft.py", "--target", "cuda:sm_90")
    assert refused.exit_code == 2
    assert "is for drafts in CUDA; this one is numba" in refused.stderr
