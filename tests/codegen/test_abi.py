"""The calling convention: order of parameters, sizes of arguments, results of references."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Bool, Float32, Float64

from outpace.codegen.abi import Role, as_results, bind_sizes, output_shapes, slots
from outpace.codegen.contract import build_contract
from outpace.errors import ContractError

Vector = Float64[np.ndarray, "n"]


def mixed(
    a: Vector, k: int, b: Float32[np.ndarray, "m 2"], w: complex
) -> tuple[Float64[np.ndarray, "n+k"], bool]: ...


MIXED = build_contract(mixed, workloads={"w": {"n": 3, "m": 2, "k": 1}}, mutates=("b",))


def test_slots_are_inputs_in_order_then_outputs():
    assert [(s.name, s.dtype, s.dims, s.role) for s in slots(MIXED)] == [
        ("a", "float64", ("n",), Role.INPUT),
        ("k", "int64", (), Role.SCALAR),
        ("b", "float32", ("m", "2"), Role.INOUT),
        ("w", "complex128", (), Role.SCALAR),
        ("out0", "float64", ("n+k",), Role.OUTPUT),
        ("out1", "bool", ("1",), Role.OUTPUT),
    ]
    assert output_shapes(MIXED, {"n": 3, "m": 2, "k": -1}) == [(2,), (1,)]


VALUES = {"a": np.zeros(3), "k": 4, "b": np.zeros((0, 2), "f4"), "w": 1j}


def test_sizes_of_arguments():
    assert bind_sizes(MIXED, VALUES) == {"n": 3, "m": 0, "k": 4}
    assert bind_sizes(MIXED, {**VALUES, "k": np.int8(-2)})["k"] == -2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": [1.0, 2.0]}, "a is a list, not a NumPy array"),
        ({"a": np.zeros(3, "f4")}, r"a has dtype dtype\('float32'\), the annotation says float64"),
        ({"a": np.zeros(3, ">f8")}, r"a has dtype dtype\('>f8'\)"),
        ({"a": np.zeros((3, 1))}, "a has 2 dims"),
        ({"b": np.zeros((3, 3), "f4")}, "b has extent 3 where '2' is 2"),
        ({"k": 2.5}, "k=2.5 is not an integer"),
        ({"k": True}, "k=True is not an integer"),
    ],
)
def test_arguments_that_do_not_fit(change, message):
    with pytest.raises(ContractError, match=message):
        bind_sizes(MIXED, {**VALUES, **change})


def returning(annotation, mutates=()):
    def fn(u: Vector): ...

    fn.__annotations__ = {"u": Vector, "return": annotation}
    return build_contract(fn, workloads={"w": {"n": 3}}, mutates=mutates)


@pytest.mark.parametrize(
    ("annotation", "returned", "expected"),
    [
        (float, 1.5, np.array([1.5])),
        (float, 2, np.array([2.0])),  # PEP 484: an int where a float is expected
        (float, np.float32(0.5), np.array([0.5])),
        (float, np.array([2.5]), np.array([2.5])),
        (complex, 1.5, np.array([1.5 + 0j])),
        (int, np.int32(3), np.array([3])),
        (bool, np.True_, np.array([True])),
        (np.float32, 0.1, np.array([0.1], "f4")),
        (np.uint8, np.uint8(200), np.array([200], "u1")),
        (Float64[np.ndarray, ""], np.float64(2), np.array(2.0)),
        (Vector, [1.0, 2.0, 3.0], np.array([1.0, 2.0, 3.0])),
        (Vector, np.arange(6.0)[::2], np.array([0.0, 2.0, 4.0])),
        (tuple[Vector], (np.ones(3),), np.ones(3)),
    ],
)
def test_one_result(annotation, returned, expected):
    (found,) = as_results(returning(annotation), returned, {"n": 3})
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected, strict=True)


def test_several_results_and_none():
    pair = returning(tuple[Vector, int])
    for returned in ((np.ones(3), 4), [np.ones(3), 4]):
        vector, count = as_results(pair, returned, {"n": 3})
        assert vector.shape == (3,)
        assert count.tolist() == [4]
    assert as_results(returning(None, mutates=("u",)), None, {"n": 3}) == []


@pytest.mark.parametrize(
    ("annotation", "returned", "message"),
    [
        (Vector, None, "returned None, annotated is a value"),
        (Vector, np.ones(2), r"returned shape \(2,\) for out, annotated is 'n' = \(3,\) at"),
        (Vector, np.ones((3, 1)), r"returned shape \(3, 1\)"),
        (Vector, np.ones(3, "f4"), "returned float32 for out, annotated is float64"),
        (Vector, np.ones(3, ">f8"), "returned >f8 for out"),
        (Vector, np.ones(3, int), "returned int64"),
        (Vector, (np.ones(3), np.ones(3)), "returned 2 values, annotated are 1"),
        (int, 1.5, "returned float64 for out, annotated is int64"),
        (float, 1j, "returned complex128"),
        (bool, 1, "returned int64 for out, annotated is bool"),
        (float, np.ones(2), r"returned shape \(2,\)"),
        (tuple[Vector, int], np.ones((2, 3)), "returned 1 values, annotated are 2"),
        (tuple[Vector, int], None, "returned 1 values, annotated are 2"),
        (tuple[Vector, Bool[np.ndarray, "n"]], (np.ones(3), np.ones(3)), "float64 for out1"),
    ],
)
def test_results_that_are_not_as_annotated(annotation, returned, message):
    with pytest.raises(ContractError, match=message):
        as_results(returning(annotation), returned, {"n": 3})
