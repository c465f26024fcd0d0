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
    operations = {"arithmetic": {"float64": 30_000_000}, "functions": 0}
    tuned = {"must_move": 2_000_000, "operations": operations}
    fields = {"program": program, "on_gpu": True, "samples": samples, "tuned": tuned}
    return fields | {"left_out": {"jax": "no such statement"}}


CONTENT = {
    "device": {"name": "a card"},
    "environment": {"date": "2026-01-01"},
    "roof": {"bandwidth": 4e12, "rates": {"float64": 40e12}},
    "programs": {
        "one": row("climate:hdiff", 1e-6, cupy=4e-6, torch=2e-6),
        "two": row("linalg:dot", None, cupy=3e-6, torch=1.5e-6),
    },
}


def test_the_table_holds_the_best_peer_and_what_is_missing():
    text = gpu_figures.table(CONTENT)
    assert (
        "| `climate.hdiff` | on the GPU | 1 us | 50% | 75% (arithmetic) | cupy 4 us, torch 2 us "
        "| 2.00x |" in text
    )
    # Where nothing was promoted, the user runs the reference.
    assert "| `linalg.dot` | on the GPU | 3 us | 17% | 25% (arithmetic) |" in text
    assert "copies at 4.00 TB/s, float64 at 40.0 Tflop/s" in text
    assert "Geometric mean over the best peer, arrays on the GPU: 1.00x." in text
    assert "- `climate.hdiff`, jax: no such statement" in text


@pytest.mark.parametrize(
    ("operations", "rates", "expected"),
    [
        ({"float64": 1}, {"float64": 1e12}, (0.5, "memory")),
        ({}, {}, (0.5, "memory")),
        ({"float16": 1}, {"float64": 1e12}, None),
    ],
)
def test_a_row_stands_under_the_roof_that_binds(operations, rates, expected):
    tuned = {"must_move": 2_000_000, "operations": {"arithmetic": operations, "functions": 0}}
    given = row("linalg:dot", 1e-6) | {"tuned": tuned}
    found = gpu_figures.under_roof(given, {"bandwidth": 4e12, "rates": rates})
    assert found == expected
    given["tuned"]["operations"] = None
    assert gpu_figures.under_roof(given, {"bandwidth": 4e12, "rates": rates}) is None


def test_the_plot_is_drawn(tmp_path):
    gpu_figures.plot(CONTENT, tmp_path / "gpu.svg")
    assert "climate:hdiff" in (tmp_path / "gpu.svg").read_text()
