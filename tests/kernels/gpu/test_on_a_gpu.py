"""What only a GPU can show; skipped where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from outpace.kernels.gpu.device import device_missing

sys.path.insert(0, str(Path(__file__).parent))

import device_drafts as drafts
import device_references as references

from outpace.kernels.gpu.roofline import measure_roof
from outpace.model import Trial, Variant
from outpace.tuner.evaluate import build_and_check
from outpace.tuner.numerics.selfcheck import check_reference

_WHY = device_missing()
pytestmark = pytest.mark.skipif(_WHY is not None, reason=str(_WHY))
FIRST_LIGHT = Path(__file__).parents[3] / "benchmarks" / "gpu_first_light.py"


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("name", ["squares", "smoothed", "logged"])
def test_right_drafts_pass(name, on_gpu, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    reference = getattr(references, name).reference
    checked = check_reference(reference.on_gpu() if on_gpu else reference, 1, 6)
    variant = Variant(getattr(drafts, name)())
    outcome = build_and_check(checked.reference, checked, variant, shrinks=False)
    assert not isinstance(outcome, Trial), (outcome.reason, outcome.details)


def test_the_roof_is_that_of_a_gpu():
    roof = measure_roof()
    assert roof.bandwidth > 1e11
    assert roof.rates["float32"] >= roof.rates["float64"] > 1e10


@pytest.mark.parametrize(
    "step", ["driver", "management", "target", "compiler", "launch", "clocks", "confinement"]
)
def test_every_layer_works(step):
    subprocess.run([sys.executable, str(FIRST_LIGHT), step], check=True)
