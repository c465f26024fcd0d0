"""Arrays of other libraries are taken through DLPack; what only holds an array is refused."""

import numpy as np
import pytest

from outpace.errors import ContractError

SCALE = """
@outpace.optimize(workloads={"small": dict(n=8)})
def scale(u: Float64[np.ndarray, "n"], c: float = 2.0) -> Float64[np.ndarray, "n"]:
    assert type(u) is np.ndarray
    return u * c

@outpace.optimize(workloads={"small": dict(n=8)}, mutates=("u",))
def bump(u: Float64[np.ndarray, "n"]) -> None:
    assert type(u) is np.ndarray
    u += 1
"""


class Tensor:
    """As torch's: no NumPy array, but gives its memory through DLPack."""

    def __init__(self, array, device=(1, 0)):
        self.array = array
        self.device = device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        if not self.array.size:
            raise BufferError("it requires grad; use tensor.detach()")
        return self.array.__dlpack__(**options)


class DataArray:
    """As xarray's: holds an array."""


DataArray.__module__ = "xarray.core.dataarray"


@pytest.fixture(params=["promotion", "reference"])
def functions(request, module, promote):
    """The two functions, with promotions that answer something else, and without."""
    found = module(SCALE)
    if request.param == "promotion":
        promote.write(found.scale, "def kernel(u, c, out):\n    out[:] = -u\n")
        promote.write(found.bump, "def kernel(u):\n    u[:] = -1\n")
    found.served = request.param == "promotion"
    return found


@pytest.mark.parametrize("call", [lambda f, t: f(t), lambda f, t: f(u=t), lambda f, t: f(t, c=2.0)])
def test_a_tensor_on_the_cpu_is_an_array(functions, call):
    u = np.arange(8.0)
    result = call(functions.scale, Tensor(u))
    np.testing.assert_array_equal(result, -u if functions.served else 2 * u)
    explanation = functions.scale.explain(Tensor(u))
    assert (explanation.promotion is not None) == functions.served


def test_the_result_goes_into_the_callers_array(functions):
    u, out = np.arange(8.0), np.empty(8)
    assert functions.scale(Tensor(u), out=out) is out
    np.testing.assert_array_equal(out, -u if functions.served else 2 * u)


def test_a_tensor_of_a_size_that_was_not_confirmed_runs_the_reference_as_an_array(functions):
    u = np.arange(100.0)
    np.testing.assert_array_equal(functions.scale(Tensor(u)), 2 * u)


def test_memory_that_is_written_in_place_is_the_tensors(functions):
    u = np.arange(8.0)
    functions.bump(Tensor(u))
    np.testing.assert_array_equal(u, -np.ones(8) if functions.served else np.arange(8.0) + 1)


def test_memory_for_reading_only_cannot_be_written_in_place(functions):
    u = np.arange(8.0)
    u.flags.writeable = False
    with pytest.raises(
        ContractError, match=r"u is a .* that is written in place but gives its mem"
    ):
        functions.bump(Tensor(u))


def test_a_tensor_that_keeps_its_memory_is_an_error_that_says_so(functions):
    expected = r"u is a \w+ Tensor whose memory cannot be used: it requires grad; use tensor.det"
    with pytest.raises(ContractError, match=expected):
        functions.scale(Tensor(np.empty(0)))


def test_a_tensor_on_a_gpu_is_left_to_the_reference(functions):
    with pytest.raises(AssertionError):  # of the reference, which gets the tensor itself
        functions.scale(Tensor(np.arange(8.0), device=(2, 0)))
    explanation = functions.scale.explain(Tensor(np.arange(8.0), device=(2, 0)))
    assert explanation.promotion is None
    if functions.served:
        assert "u is a Tensor, not a plain NumPy array" in str(explanation)


@pytest.mark.parametrize(
    "call", [lambda f, a: f(a), lambda f, a: f(u=a), lambda f, a: f.explain(a)]
)
def test_xarray_gets_the_line_that_unwraps_it(functions, call):
    with pytest.raises(ContractError, match=r"u is an xarray DataArray; pass .* `u.values`, and"):
        call(functions.scale, DataArray())


def test_too_many_arguments_are_the_functions_own_error(functions):
    with pytest.raises(TypeError, match=r"scale\(\) takes from 1 to 2 positional arguments but 3"):
        functions.scale(Tensor(np.arange(8.0)), 2.0, 3.0)
