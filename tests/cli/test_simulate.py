"""simulate, over a recorded space made here."""

import json

import pytest


@pytest.fixture
def recorded(tmp_path):
    def entry(x, y):
        fails = x == 8 and y > 5
        outcome = {"time": "RuntimeFailedConfig"} if fails else {"time": 1.0 + abs(x - 4) + y}
        return {"x": x, "y": y, "compile_time": 1, "benchmark_time": 1, **outcome}

    xs, ys = [1, 2, 4, 8], list(range(10))
    content = {
        "device_name": "card",
        "kernel_name": "stencil",
        "problem_size": [64],
        "tune_params_keys": ["x", "y"],
        "tune_params": {"x": xs, "y": ys},
        "cache": {f"{x},{y}": entry(x, y) for x in xs for y in ys},
    }
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps(content))
    return path


def test_json(outpace_json, recorded):
    code, answer = outpace_json("simulate", str(recorded), "--budget", "15", "--seeds", "3")
    assert code == 0
    assert answer["schema"] == "outpace.simulate/1"
    assert [run["seed"] for run in answer["seeds"]] == [0, 1, 2]
    for run in answer["seeds"]:
        course = run["best_over_optimum"]
        assert len(course) == 15
        found = [value for value in course if value is not None]
        assert found == sorted(found, reverse=True)
        assert min(found) >= 1.0


def test_a_strategy_that_tries_all_ends_with_the_space(outpace_json, recorded):
    arguments = ("--strategy", "exhaustive", "--budget", "100", "--seeds", "1")
    code, answer = outpace_json("simulate", str(recorded), *arguments)
    assert code == 0
    (run,) = answer["seeds"]
    assert len(run["best_over_optimum"]) == 40
    assert run["best_over_optimum"][0] == 4.0
    assert run["best_over_optimum"][-1] == 1.0


def test_table(outpace, recorded):
    result = outpace("simulate", str(recorded), "--budget", "40", "--warm", str(recorded))
    assert result.exit_code == 0
    assert "stencil on card: 40 points, 4 of them failing, the best 1 ms" in result.stdout
    assert "within 5%" in result.stdout


def test_usage_errors(outpace, recorded):
    missing = outpace("simulate", "none.json")
    assert missing.exit_code == 2
    assert "none.json cannot be read" in missing.stderr
    unknown = outpace("simulate", str(recorded), "--strategy", "luck")
    assert unknown.exit_code == 2
    assert "no strategy 'luck'" in unknown.stderr
