"""Expressions over sizes: what may stand in them, when they hold, and the reduction length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codegen.domain import (
    allows,
    compile_expression,
    evaluate,
    free_names,
    holds,
    reduction_length,
)
from outpace.errors import ContractError
from outpace.model import Argument, Contract, Output


@pytest.mark.parametrize(
    "text",
    ["f(n)", "n[0]", "n.real", "[n]", "(n := 3)", "lambda: 0", "f'{n}'", "{n}", "n for n in m"],
)
def test_only_arithmetic_is_allowed(text):
    with pytest.raises(ContractError, match=r"only arithmetic|is not an expression"):
        compile_expression(text)


@pytest.mark.parametrize("text", ["", "n ==", "n = 3", "import os", "n\0"])
def test_text_that_is_no_expression(text):
    with pytest.raises(ContractError, match="is not an expression"):
        compile_expression(text)


def test_names_in_order_of_appearance():
    assert free_names("n == 2**q and target < q or b") == ("n", "q", "target", "b")
    assert free_names("  a + b*c - a") == ("a", "b", "c")


@given(st.integers(-99, 99), st.integers(-99, 99))
def test_values(a, b):
    assert evaluate("a*b - (a if a > b else b)", {"a": a, "b": b}) == a * b - max(a, b)
    assert evaluate("not a % 7 == 3", {"a": a}) == (a % 7 != 3)


@pytest.mark.parametrize("text", ["missing + 1", "1 // zero", "1 << -1", "'a' - 1"])
def test_an_expression_without_a_value(text):
    with pytest.raises(ContractError, match="cannot be evaluated"):
        evaluate(text, {"zero": 0})


def test_evaluation_reaches_no_builtins():
    with pytest.raises(ContractError, match="cannot be evaluated"):
        evaluate("open", {})


@given(st.integers(0, 5000))
def test_another_name_is_existential(n):
    assert holds("n == 2**q", {"n": n}) == (n.bit_count() == 1)
    assert holds("n == 3*a + 5*b", {"n": n % 60}) == any(
        (n % 60 - 5 * b) % 3 == 0 for b in range((n % 60) // 5 + 1)
    )


def test_where_it_has_no_value_it_does_not_hold():
    assert not holds("8 % n == 0", {"n": 0})
    assert holds("8 % n == 0", {"n": 4})
    assert holds("n % q == 1", {"n": 7})  # although q = 0 has no value


def contract(dims="n", out="n", **changes):
    return Contract(
        (Argument("u", "float64", tuple(dims.split())), Argument("k", "int64")),
        (Output("out", "float64", tuple(out.split())),),
        ("n", "m"),
        (),
        **changes,
    )


def test_the_domain_is_where_and_shapes():
    assert allows(contract("n-2"), {"n": 2, "k": 0})
    assert not allows(contract("n-2"), {"n": 1, "k": 0})
    assert not allows(contract("n", "m-1"), {"n": 1, "m": 0, "k": 0})
    assert not allows(contract(where="k < n"), {"n": 1, "k": 1})
    assert not allows(contract("n m"), {"n": 1})


@pytest.mark.parametrize(
    ("dims", "out", "reduction", "length"),
    [
        ("n m", "n", None, 5),  # the dim that is summed over
        ("n m", "1", None, 20),
        ("n m", "n m", None, 5),  # nothing is absent: the largest
        ("n m", "n", "2*k", 6),
        ("n m", "n", "k - 9", 1),
        ("3", "1", None, 1),
    ],
)
def test_reduction_length(dims, out, reduction, length):
    sizes = {"n": 4, "m": 5, "k": 3}
    assert reduction_length(contract(dims, out, reduction=reduction), sizes) == length
