"""The trusted launcher, on a stand-in for CuPy: order, arguments and memory, no GPU."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from outpace.codegen.cuda import parse_plan
from outpace.errors import ContractError, DraftError, EnvironmentError_
from outpace.kernels.gpu.calling import load_device_kernel, load_host_kernel
from outpace.kernels.gpu.device import find_device
from outpace.kernels.gpu.readings import Reading, throttle_reasons
from outpace.kernels.gpu.roofline import Roof
from outpace.kernels.gpu.timing import BatchTime, calls_for, median_time
from outpace.kernels.languages.base import BuildError
from outpace.model import Argument, Contract, Output
from outpace.roofline import Bound

CONTRACT = Contract(
    (
        Argument("u", "float64", ("y", "x")),
        Argument("steps", "int64"),
        Argument("a", "float32"),
        Argument("log", "int32", ("y",), mutated=True),
    ),
    (Output("out", "float64", ("y", "x")),),
    ("y", "x"),
    (),
)
PLAN = parse_plan(
    {
        "buffers": [{"name": "other", "dtype": "float64", "shape": ["y", "x"]}],
        "steps": [
            {"copy": ["u", "out"]},
            {"fill": "log", "value": 7},
            {
                "repeat": "t",
                "range": [0, "steps", 1],
                "steps": [
                    {
                        "launch": "add<TX>",
                        "grid": ["ceildiv(x, TX)", "y"],
                        "block": ["TX"],
                        "shared": "1 << 16",
                        "arguments": ["out", "other", "a", "log", "t"],
                    },
                    {"swap": ["out", "other"]},
                ],
            },
        ],
    }
)


class DeviceArray(np.ndarray):
    """Memory that only the stand-in for CuPy makes."""

    def set(self, values):
        self[...] = values

    def get(self, out=None):
        if out is None:
            return np.array(self)
        out[...] = self
        return out


class DriverError(Exception):
    pass


class AddKernel:
    """Adds `a + t` from the first array into the second."""

    most_shared = 1 << 17

    def __init__(self, symbol, calls):
        self._asked = 48 * 1024
        self._symbol = symbol
        self._calls = calls

    @property
    def max_dynamic_shared_size_bytes(self):
        return self._asked

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, value):
        if value > self.most_shared:
            raise DriverError("invalid value")
        self._asked = value

    def __call__(self, grid, block, arguments, *, shared_mem):
        assert shared_mem <= self._asked
        self._calls.append((self._symbol, grid, block, arguments))
        source, target, a, log, t = arguments
        target[...] = source + a + t
        log += 1


@pytest.fixture
def calls(monkeypatch):
    made = []

    def module(path):
        if not Path(path).exists():
            raise DriverError("file not found")
        return SimpleNamespace(get_function=lambda symbol: AddKernel(symbol, made))

    def empty(shape, dtype):
        return np.full(shape, -1, dtype).view(DeviceArray)

    stream = SimpleNamespace(synchronize=lambda: made.append("synchronised"))
    fake = SimpleNamespace(
        RawModule=module,
        empty=empty,
        copyto=np.copyto,
        ndarray=DeviceArray,
        cuda=SimpleNamespace(
            driver=SimpleNamespace(CUDADriverError=DriverError), get_current_stream=lambda: stream
        ),
    )
    monkeypatch.setitem(sys.modules, "cupy", fake)
    return made


@pytest.fixture
def cubin(tmp_path):
    path = tmp_path / "draft.cubin"
    path.write_bytes(b"\x7fELF")
    return path


def loaded(load, cubin):
    return load(cubin, {"add<TX>": "_Z3addILi4EE"}, PLAN, {"TX": 4}, CONTRACT)


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_call_on_the_host_carries_values_there_and_back(calls, cubin, steps, order):
    kernel = loaded(load_host_kernel, cubin)
    u = np.asarray(np.arange(30.0).reshape(5, 6), order=order)
    out, log = np.full((5, 6), np.nan, order=order), np.zeros(5, "int32")
    kernel(u, steps, 0.5, log, out)
    assert np.array_equal(out, u + 0.5 * steps + sum(range(steps)))
    assert np.array_equal(log, np.full(5, 7 + steps))
    assert calls[-1] == "synchronised"


def test_launches_have_the_plans_numbers_and_typed_arguments(calls, cubin):
    loaded(load_host_kernel, cubin)(np.ones((5, 6)), 1, 0.5, np.zeros(5, "int32"), np.empty((5, 6)))
    symbol, grid, block, arguments = calls[0]
    assert (symbol, grid, block) == ("_Z3addILi4EE", (2, 5, 1), (4, 1, 1))
    assert [type(a) for a in arguments[2:]] == [np.float32, DeviceArray, np.int64]


def test_calls_at_other_sizes_have_buffers_of_their_own(calls, cubin):
    kernel = loaded(load_host_kernel, cubin)
    for rows in [3, 9, 3, *range(1, 12)]:
        out = np.empty((rows, 6))
        kernel(np.ones((rows, 6)), 2, 1.0, np.zeros(rows, "int32"), out)
        assert np.array_equal(out, np.full((rows, 6), 4.0))
    assert len(calls) == 3 * 14


def device(array):
    return np.ascontiguousarray(array).view(DeviceArray)


def test_arrays_on_the_device_are_used_where_they_are(calls, cubin):
    kernel = loaded(load_device_kernel, cubin)
    u, out, log = device(np.ones((2, 3))), device(np.zeros((2, 3))), device(np.zeros(2, "int32"))
    kernel(u, 3, 1.0, log, out)
    assert np.array_equal(out, np.full((2, 3), 7.0))
    assert "synchronised" not in calls


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"u": np.ones((2, 3))}, "u is a ndarray, which is not on the GPU; pass CuPy arrays"),
        ({"u": device(np.ones((2, 3), "float32"))}, "u has dtype float32, the annotation says"),
        ({"u": device(np.ones((3, 2))).T}, "u is not C-contiguous"),
        ({"out": device(np.ones((2, 4)))}, "out has extent 4"),
    ],
)
def test_what_is_not_as_annotated_is_refused(cubin, changed, message):
    kernel = loaded(load_device_kernel, cubin)
    given = {
        "u": device(np.ones((2, 3))),
        "steps": 1,
        "a": 1.0,
        "log": device(np.zeros(2, "int32")),
        "out": device(np.zeros((2, 3))),
    }
    with pytest.raises(ContractError, match=message):
        kernel(*{**given, **changed}.values())


@pytest.mark.usefixtures("calls")
def test_what_the_driver_refuses_is_said(cubin, monkeypatch):
    with pytest.raises(BuildError, match=r"away\.cubin cannot be loaded: file not found"):
        loaded(load_host_kernel, cubin.with_name("away.cubin"))
    monkeypatch.setattr(AddKernel, "most_shared", 50_000)
    kernel = loaded(load_host_kernel, cubin)
    with pytest.raises(DraftError, match=r"add<TX> cannot have 65536 bytes of dynamic shared"):
        kernel(np.ones((2, 3)), 1, 1.0, np.zeros(2, "int32"), np.empty((2, 3)))


# --- Numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "wall", "agrees"),
    [
        (1e-3, 1.1e-3, True),
        (1e-3, 1.3e-3, False),  # work on another stream
        (1e-3, 0.9e-3, False),  # events that run ahead
        (0.1, 0.104, True),
        (0.1, 0.2, False),
    ],
)
def test_two_clocks_must_agree(events, wall, agrees):
    assert BatchTime(1, events, wall).agrees is agrees


def test_the_median_is_over_batches_on_which_the_clocks_agree():
    times = [BatchTime(2, t, t) for t in (3.0, 1.0, 2.0)] + [BatchTime(2, 0.1, 9.0)]
    found = median_time(times)
    assert found is not None
    assert found.seconds == 1.0
    assert median_time(times[3:]) is None


def test_a_batch_is_long_enough():
    assert [calls_for(s) for s in (1.0, 1e-3, 3e-4)] == [1, 1, 4]
    assert 10_000 <= calls_for(0.0) <= 10_001


def test_the_roof_is_the_slower_of_bytes_and_operations():
    roof = Roof("a card", 4e12, {"float64": 30e12})
    assert roof.least_seconds(4e9, {"float64": 1e9}) == (Bound.MEMORY, 1e-3)
    assert roof.least_seconds(4e6, {"float64": 30e9}) == (Bound.ARITHMETIC, 1e-3)
    assert roof.least_seconds(4e9, {}) == (Bound.MEMORY, 1e-3)
    assert roof.least_seconds(4e9, {"longdouble": 1.0}) is None


def test_throttling_is_told_by_its_reasons():
    assert throttle_reasons(0x1) == ()  # idle
    assert throttle_reasons(0x44) == ("power cap", "hardware thermal slow-down")
    assert Reading(1980, 2619, ("power cap",), 40, 1, 2).is_throttled
    assert not Reading(1980, 2619, (), 40, 1, 2).is_throttled


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
def test_without_a_gpu_it_is_said_what_can_be_done():
    with pytest.raises(EnvironmentError_, match="CUDA drafts can be checked without one"):
        find_device()
