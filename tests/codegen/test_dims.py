"""Affine dims: what is read, what is refused, and solving shapes for names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codegen.dims import Affine, bind_shapes, parse_dim, shape_of, split_dims
from outpace.errors import ContractError

NAMES = st.sampled_from(["n", "m", "n_x", "K", "λ"])
ATOMS = NAMES | st.integers(0, 9).map(str)


def _grown(inner):
    return st.one_of(
        st.tuples(inner, st.sampled_from("+-"), inner).map(lambda p: f"({p[0]}{p[1]}{p[2]})"),
        st.tuples(st.integers(0, 5), inner).map(lambda p: f"{p[0]}*{p[1]}"),
        st.tuples(inner, st.integers(0, 5)).map(lambda p: f"{p[0]}*{p[1]}"),
        inner.map(lambda text: f"-{text}"),
    )


EXPRESSIONS = st.recursive(ATOMS, _grown, max_leaves=8)
SIZES = st.fixed_dictionaries({name: st.integers(0, 50) for name in ("n", "m", "n_x", "K", "λ")})


@given(EXPRESSIONS, SIZES)
def test_an_expression_has_the_value_that_python_gives_it(text, sizes):
    affine = parse_dim(text)
    assert affine.evaluate(sizes) == eval(text, {}, dict(sizes))
    assert all(factor for _, factor in affine.terms)
    assert set(affine.names) <= set(sizes)


@given(EXPRESSIONS, SIZES, st.sampled_from(["n", "m"]), st.integers(1, 5), st.integers(0, 9))
def test_shapes_give_the_sizes_back(text, sizes, alone, factor, offset):
    """A name may be found through a multiple of itself, and then through other axes."""
    extent = parse_dim(text).evaluate(sizes)
    if extent < 0:
        return
    names = parse_dim(text).names
    dims = [text, f"{factor}*{alone}+{offset}", *(n for n in names if n != alone)]
    shape = shape_of(dims, sizes)
    expected = {name: sizes[name] for name in (*names, alone)}
    assert bind_shapes([("u", dims, shape)], {}) == expected
    split = [(f"a{i}", [dim], (n,)) for i, (dim, n) in enumerate(zip(dims, shape, strict=True))]
    assert bind_shapes(split, {}) == expected
    assert bind_shapes([("u", dims, shape)], {alone: sizes[alone], "other": -3})["other"] == -3


@given(EXPRESSIONS, SIZES)
def test_a_contradicting_extent_is_refused(text, sizes):
    extent = parse_dim(text).evaluate(sizes)
    with pytest.raises(ContractError, match="u has extent"):
        bind_shapes([("u", [text], (extent + 1,))], sizes)


@pytest.mark.parametrize(
    ("text", "affine"),
    [
        ("n", Affine(0, (("n", 1),))),
        ("n_x", Affine(0, (("n_x", 1),))),
        ("4", Affine(4, ())),
        ("I+4", Affine(4, (("I", 1),))),
        ("2*n-1", Affine(-1, (("n", 2),))),
        ("a_1*3+b_", Affine(0, (("a_1", 3), ("b_", 1)))),
        ("n-n", Affine(0, ())),
        ("0*n", Affine(0, ())),
    ],
)
def test_what_is_read(text, affine):
    assert parse_dim(text) == affine


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("...", "not supported; write a name"),
        ("*batch", "not supported"),
        ("#n", "not supported"),
        ("_", "not supported"),
        ("_n", "not supported"),
        ("n+_m", "not supported"),
        ("?n", "not supported"),
        ("n=3", "not supported"),
        ("+", "not an expression.*without spaces"),
        ("n*", "not an expression"),
        ("n+", "not an expression"),
        ("if", "not an expression"),
        ("n\0", "not an expression"),
        ("n*m", "not affine"),
        ("n//2", "not affine"),
        ("n/2", "not affine"),
        ("n**2", "not affine"),
        ("min(n,m)", "not affine"),
        ("1.5", "not affine"),
        ("True", "not affine"),
        ("n.x", "not affine"),
        ("{n}", "not affine"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ContractError, match=message):
        parse_dim(text)


def test_dims_are_split_at_spaces():
    assert split_dims("  I+4 J  3 ") == ("I+4", "J", "3")
    assert split_dims("") == ()


def test_shape_needs_every_size_and_no_negative_extent():
    with pytest.raises(ContractError, match="dim 'm' has no size"):
        shape_of(["n", "m"], {"n": 1})
    with pytest.raises(ContractError, match=r"'n-2' give a negative extent \(-1,\)"):
        shape_of(["n-2"], {"n": 1})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([("u", ["n"], (1, 2))], r"u has 2 dims \(1, 2\), the annotation says 'n'"),
        ([("u", ["n", "n"], (3, 4))], "u has extent 4 where 'n' is 3"),
        ([("u", ["n"], (3,)), ("v", ["n+1"], (3,))], "v has extent 3 where 'n\\+1' is 4"),
        ([("u", ["2*n"], (3,))], "u has extent 3, which '2\\*n' cannot be"),
        ([("u", ["n+4"], (3,))], "u has extent 3, which 'n\\+4' cannot be"),
        ([("u", ["n+m", "n-m"], (3, 1))], r"\['m', 'n'\] cannot be determined"),
        ([("u", ["3"], (4,))], "u has extent 4 where '3' is 3"),
    ],
)
def test_shapes_that_do_not_fit(arrays, message):
    with pytest.raises(ContractError, match=message):
        bind_shapes(arrays, {})
