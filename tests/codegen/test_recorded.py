import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Bool, Float32, Float64, Int64

from outpace.codegen.inputs import Case, draw_cases, draw_inputs, flavours_of
from outpace.codegen.recorded import Recorded, RecordedInputs, _mirrored, read_calls, write_calls
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import ContractError


def smooth(
    u: Float64[np.ndarray, "n m+1"],
    x: Float64[np.ndarray, "n"],
    mask: Float64[np.ndarray, "n m+1"],
    dt: float,
    flag: bool,
    steps: int,
) -> Float64[np.ndarray, "n m+1"]:
    return u * mask + x[:, None] * dt * steps * flag


def call(n=6, m=4, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "u": rng.normal(size=(n, m + 1)),
        "x": np.sort(rng.random(n)),
        "mask": np.rint(rng.random((n, m + 1))),
        "dt": 0.25,
        "flag": True,
        "steps": 3,
    }


WORKLOADS = {"w": {"n": 6, "m": 4, "steps": 3}}


@pytest.fixture
def reference(tmp_path):
    """Of `smooth`, with two recorded calls of one size and one of another."""
    calls = [call(), call(seed=1), call(9, 8, 2)]
    write_calls(tmp_path / "smooth.npz", calls)
    options = ReferenceOptions(WORKLOADS, inputs=Recorded(tmp_path / "smooth.npz"))
    return Reference(smooth, options), calls


def drawn(reference, seed=0, **sizes):
    return draw_inputs(reference, Case({"n": 6, "m": 4, "steps": 3, **sizes}, seed))


def test_recorded_sizes_give_recorded_calls_as_a_whole_a_little_moved(reference):
    reference, calls = reference
    met = set()
    for seed in range(12):
        values = drawn(reference, seed)
        near = [i for i, c in enumerate(calls[:2]) if np.allclose(c["u"], values["u"], rtol=2e-8)]
        assert len(near) == 1
        recorded = calls[near[0]]
        assert not np.array_equal(values["u"], recorded["u"])
        np.testing.assert_allclose(values["x"], recorded["x"], rtol=2e-8)
        np.testing.assert_array_equal(values["mask"], recorded["mask"])
        assert values["dt"] != 0.25
        assert values["dt"] == pytest.approx(0.25, rel=2e-8)
        met.update(near)
    assert met == {0, 1}


def test_the_same_case_gives_the_same_values_and_never_the_memory_of_the_file(reference):
    reference, _ = reference
    first = drawn(reference, 5)
    kept = {name: np.copy(value) for name, value in first.items()}
    for value in first.values():
        if isinstance(value, np.ndarray):
            assert value.flags.writeable
            value[...] = -1
    again = drawn(reference, 5)
    for name, value in kept.items():
        np.testing.assert_array_equal(again[name], value)


@pytest.fixture(scope="module")
def one_call(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "smooth.npz"
    write_calls(path, [call()])
    return RecordedInputs(Recorded(path), path.parent, contract_of_smooth())


def contract_of_smooth():
    return Reference(smooth, ReferenceOptions(WORKLOADS)).contract


@settings(max_examples=30)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 99))
def test_other_sizes_hold_recorded_values_and_keep_order(one_call, n, m, seed):
    values = one_call({"n": n, "m": m, "steps": 2}, np.random.default_rng(seed))
    recorded = call()
    assert values["u"].shape == values["mask"].shape == (n, m + 1)
    distances = abs(values["u"].ravel()[:, None] / recorded["u"].ravel() - 1)
    assert np.all(distances.min(axis=1) <= 2e-8)
    assert set(values["mask"].ravel()) <= set(recorded["mask"].ravel())
    assert values["x"].shape == (n,)
    assert np.all(np.diff(values["x"]) >= -2e-8)


@given(st.integers(0, 1000), st.integers(0, 60), st.integers(1, 20))
def test_windows_are_of_neighbours_and_inside_what_is_held(start, wanted, held):
    places = _mirrored(start, wanted, held)
    assert len(places) == wanted
    assert all((places >= 0) & (places < held))
    assert all(abs(np.diff(places)) <= 1)
    if wanted >= 2 * held:
        assert set(places) == set(range(held))
    if wanted <= held:
        assert len(set(places)) == wanted


def test_what_was_never_varied_is_varied(tmp_path):
    def f(u: Float32[np.ndarray, "n"], c: float, flag: bool) -> Float32[np.ndarray, "n"]:
        return u * c * flag

    write_calls(tmp_path / "f.npz", [{"u": np.zeros(8, "float32"), "c": 0.0, "flag": False}])
    reference = Reference(f, ReferenceOptions({"w": {"n": 8}}, inputs=Recorded(tmp_path / "f.npz")))
    draws = [draw_inputs(reference, Case({"n": 8}, seed)) for seed in range(20)]
    assert {draw["flag"] for draw in draws} == {True, False}
    assert all(draw["u"].any() and draw["u"].max() < 4e-4 for draw in draws)
    assert len({draw["c"] for draw in draws}) == 20


def test_integers_alone_are_rotated_so_that_no_two_draws_need_be_alike(tmp_path):
    def f(a: Int64[np.ndarray, "n"], b: Bool[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
        return a + b

    a = np.array([3, 1, 4, 1, 5, 9, 2, 6])
    write_calls(tmp_path / "f.npz", [{"a": a, "b": a > 3}])
    reference = Reference(f, ReferenceOptions({"w": {"n": 8}}, inputs=Recorded(tmp_path / "f.npz")))
    draws = [draw_inputs(reference, Case({"n": 8}, seed))["a"] for seed in range(20)]
    assert all(sorted(draw) == sorted(a) for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 3


def test_only_plain_values_are_drawn_and_the_file_is_read_no_sooner(tmp_path):
    reference = Reference(smooth, ReferenceOptions(WORKLOADS, inputs=Recorded("absent.npz")))
    assert flavours_of(reference) == ("plain",)
    assert reference.inputs.__name__ == "Recorded('absent.npz')"
    assert {case.flavour for case in draw_cases(reference, 10, 0)} == {"plain"}
    with pytest.raises(ContractError, match=r"absent.npz cannot be read: .* `outpace init` writes"):
        drawn(reference)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"u": np.zeros((6, 5), "float32")},
            "u as float32 with 2 dims, the annotation says float64",
        ),
        ({"u": np.zeros(6)}, "u as float64 with 1 dims, the annotation says float64 with 2"),
        ({"x": np.zeros(7)}, "call 0 in .*: x has extent 7 where 'n' is 6"),
        ({"other": 1.0}, "holds dt, flag, mask, other, steps, u, x; the arguments are u, x, mask"),
        ({"x": np.array(["a"])}, r"holds '0/x' of type <U1; write the argument `u` of the first"),
    ],
)
def test_a_recording_that_does_not_fit_says_what_is_wrong(tmp_path, changes, reason):
    write_calls(tmp_path / "smooth.npz", [{**call(), **changes}])
    options = ReferenceOptions(WORKLOADS, inputs=Recorded(tmp_path / "smooth.npz"))
    with pytest.raises(ContractError, match=reason):
        drawn(Reference(smooth, options))


def test_pickled_objects_are_not_loaded(tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, **{"0/u": np.array([object()], dtype=object)})
    with pytest.raises(ContractError, match="cannot be read: Object arrays cannot be loaded"):
        read_calls(path)


def test_a_recording_that_is_too_large_is_refused_before_it_is_read(tmp_path, monkeypatch):
    write_calls(tmp_path / "big.npz", [{"u": np.zeros(300_000)}])
    monkeypatch.setattr("outpace.codegen.recorded.MAX_BYTES", 2**20)
    with pytest.raises(ContractError, match="holds 2 MiB, more than 1; record fewer calls"):
        read_calls(tmp_path / "big.npz")


def test_a_relative_file_is_found_beside_the_module(tmp_path):
    write_calls(tmp_path / "kept" / "smooth.npz", [call()])
    inputs = RecordedInputs(Recorded("kept/smooth.npz"), tmp_path, contract_of_smooth())
    assert inputs({"n": 6, "m": 4, "steps": 3}, np.random.default_rng(0))["u"].shape == (6, 5)
