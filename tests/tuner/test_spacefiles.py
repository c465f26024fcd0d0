import gzip
import json

import numpy as np
import pytest

from outpace.errors import StorageError, UsageError
from outpace.model import Parameter, Status
from outpace.tuner.replay import outcome_of, records_of, replay
from outpace.tuner.search import Failed, Measured, make_strategy
from outpace.tuner.space import SearchSpace
from outpace.tuner.spacefiles import RecordedSpace, read_space, write_space

ENTRY = {"compile_time": 500.0, "verification_time": 0, "benchmark_time": 250.0}


def content(**entries):
    return {
        "device_name": "card",
        "kernel_name": "stencil",
        "problem_size": [4096, 4096],
        "tune_params_keys": ["x", "pad"],
        "tune_params": {"x": [16, 32, 64], "pad": [0, 1]},
        "objective": "time",
        "cache": entries
        or {
            "32,1": {"x": 32, "pad": 1, "time": 2.0, **ENTRY},
            "16,0": {"x": 16, "pad": 0, "time": 4.0, **ENTRY},
            "64,0": {"x": 64, "pad": 0, "time": "RuntimeFailedConfig", **ENTRY},
            "64,1": {"x": 64, "pad": 1, "time": "x", "__error__": "InvalidConfig", **ENTRY},
        },
    }


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "cache.json"
    path.write_text(json.dumps(content()))
    return path


def test_what_a_cache_file_says(path):
    recorded = read_space(path)
    assert (recorded.kernel, recorded.device) == ("stencil", "card")
    assert recorded.problem_size == (4096, 4096)
    assert recorded.space.points.tolist() == [[0, 0], [1, 1], [2, 0], [2, 1]]
    assert recorded.optimum == 2e-3
    assert recorded.errors == {2: "RuntimeFailedConfig", 3: "InvalidConfig"}
    np.testing.assert_array_equal(recorded.seconds, [4e-3, 2e-3, np.nan, np.nan])
    np.testing.assert_array_equal(recorded.cost_seconds, 0.75)


def test_gzipped_and_unfinished_files_are_read(path):
    whole = path.read_text()
    expected = read_space(path).space.points
    path.write_bytes(gzip.compress(whole.encode()))
    np.testing.assert_array_equal(read_space(path).space.points, expected)
    path.write_text(whole.rstrip("}") + "},\n")
    np.testing.assert_array_equal(read_space(path).space.points, expected)


@pytest.mark.parametrize("name", ["copy.json", "copy.json.gz"])
def test_a_written_file_is_read_back(path, tmp_path, name):
    recorded = read_space(path)
    write_space(tmp_path / name, recorded)
    again = read_space(tmp_path / name)
    assert again.space.parameters == recorded.space.parameters
    assert again.errors == recorded.errors
    np.testing.assert_array_equal(again.space.points, recorded.space.points)
    np.testing.assert_allclose(again.seconds, recorded.seconds, rtol=1e-15)
    np.testing.assert_allclose(again.cost_seconds, recorded.cost_seconds, rtol=1e-15)


def test_a_written_file_has_what_kernel_tuner_asks_for(path, tmp_path):
    write_space(tmp_path / "copy.json", read_space(path))
    written = json.loads((tmp_path / "copy.json").read_text())
    assert set(written) >= {*content(), "schema_version"}
    assert list(written["cache"]) == ["16,0", "32,1", "64,0", "64,1"]
    required = {"time", "compile_time", "verification_time", "benchmark_time", "timestamp"}
    required |= {"strategy_time", "framework_time", "x", "pad"}
    assert all(set(entry) >= required for entry in written["cache"].values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no cache file"),
        ("[1]", "no cache file"),
        ("{}", "it has no 'tune_params_keys'"),
        (json.dumps(content(a={"x": 17, "pad": 0, "time": 1.0})), "it has no 17"),
        (json.dumps(content(a={"x": 16, "pad": 0, "time": -1.0})), "no time in milliseconds"),
        (json.dumps(content(a={"x": 16, "pad": 0, "time": "InvalidConfig"})), "has a time"),
    ],
)
def test_what_is_no_cache_file_is_one_clear_error(tmp_path, text, message):
    path = tmp_path / "cache.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_space(path)


def test_a_damaged_archive_is_one_clear_error(path):
    path.write_bytes(gzip.compress(path.read_bytes())[:-20])
    with pytest.raises(UsageError, match="no cache file"):
        read_space(path)


def test_files_that_cannot_be_read_or_written(path, tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_space(tmp_path / "none.json")
    with pytest.raises(StorageError, match="cannot be written"):
        write_space(tmp_path / "none" / "copy.json", read_space(path))


def test_recorded_outcomes(path):
    recorded = read_space(path)
    assert outcome_of(recorded, (1, 1)) == Measured(2e-3)
    assert outcome_of(recorded, (2, 0)) == Failed(Status.CRASHED)
    assert outcome_of(recorded, (2, 1)) == Failed(Status.INVALID)
    assert [r.seconds for r in records_of(recorded)] == [4e-3, 2e-3, None, None]
    assert records_of(recorded)[1].params == {"x": 32, "pad": 1}


def test_replaying_charges_failing_points_and_ends_with_the_space():
    space = SearchSpace([Parameter("x", (1, 2, 3, 4))])
    seconds = np.array([np.nan, 3.0, np.nan, 2.0])
    errors = {0: "InvalidConfig", 2: "RuntimeFailedConfig"}
    recorded = RecordedSpace("k", "d", (), space, seconds, errors, np.ones(4))
    course = replay(recorded, make_strategy("exhaustive", space, 0, ()), 10)
    assert course == [None, 1.5, 1.5, 1.0]
    assert replay(recorded, make_strategy("exhaustive", space, 0, ()), 2) == [None, 1.5]
