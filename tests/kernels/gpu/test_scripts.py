"""The scripts that are run on a machine with a GPU: what they say and write, on stand-ins."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import gpu_figures  # noqa: E402


@pytest.mark.usefixtures("gpu")
def test_first_light_tells_of_every_step_by_itself(standin, tmp_path):
    out = tmp_path / "found.json"
    steps = ["driver", "management", "compiler", "launch", "jax"]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu_first_light.py"), "--out", str(out), *steps],
        env=os.environ | {"PYTHONPATH": str(standin)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(out.read_text())
    assert [name for name in steps if not found[name]["ok"]] == ["jax"], done.stdout
    assert "No module named 'jax'" in found["jax"]["said"]
    assert done.returncode == 1
    assert done.stdout.endswith("4 of 5 work; not: jax\n")


def row(program, own, **peers):
    samples = {name: [{"samples": [t, t, t]}] for name, t in peers.items()}
    if own is not None:
        samples["outpace"] = [{"samples": [own]}, {"samples": [own, 9.0]}]
    tuned = {"must_move": 2_000_000}
    fields = {"program": program, "on_gpu": True, "samples": samples, "tuned": tuned}
    return fields | {"left_out": {"jax": "no such statement"}}


CONTENT = {
    "device": {"name": "a card"},
    "environment": {"date": "2026-01-01"},
    "roof": {"bandwidth": 4e12},
    "programs": {
        "one": row("climate:hdiff", 1e-6, cupy=4e-6, torch=2e-6),
        "two": row("linalg:dot", None, cupy=3e-6, torch=1.5e-6),
    },
}


def test_the_table_holds_the_best_peer_and_what_is_missing():
    text = gpu_figures.table(CONTENT)
    assert "| `climate.hdiff` | on the GPU | 1 us | 50% | cupy 4 us, torch 2 us | 2.00x |" in text
    # Where nothing was promoted, the user runs the reference.
    assert "| `linalg.dot` | on the GPU | 3 us | 17% | cupy 3 us, torch 2 us | 0.50x |" in text
    assert "Geometric mean over the best peer, arrays on the GPU: 1.00x." in text
    assert "- `climate.hdiff`, jax: no such statement" in text


def test_the_plot_is_drawn(tmp_path):
    gpu_figures.plot(CONTENT, tmp_path / "gpu.svg")
    assert "climate:hdiff" in (tmp_path / "gpu.svg").read_text()
