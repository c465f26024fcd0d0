"""Stored values come back as they were, equal values are equal bytes, and damage is one error."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codec import (
    SCHEMA_VERSION,
    ArrayRecord,
    Value,
    content_hash,
    decode,
    encode,
    pretty,
)
from outpace.errors import CodecError
from outpace.model import Draft, Mismatch, Parameter, Provenance, Scalar, Trial, Variant, Workload


class Holder(Value, frozen=True):
    """Every kind of field that stored values have."""

    text: str
    number: float
    either: float | str
    scalars: dict[str, Scalar]
    numbers: tuple[float, ...] = ()
    inner: Workload | None = None


TEXT = st.text(max_size=8) | st.sampled_from(
    ["float:nan", "float:inf", "text:", "text:float:nan", "nan", ""]
)
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXT
HOLDERS = st.builds(
    Holder,
    TEXT,
    st.floats(),
    st.floats() | TEXT,
    st.dictionaries(TEXT, SCALARS, max_size=3),
    st.lists(st.floats(), max_size=3).map(tuple),
    st.none() | st.builds(Workload, TEXT, st.dictionaries(TEXT, st.integers(0, 9), max_size=2)),
)


def same(a, b):
    """Equality that knows NaN, the sign of zero, and an int from a float."""
    if isinstance(a, msgspec.Struct):
        return type(a) is type(b) and same(msgspec.structs.asdict(a), msgspec.structs.asdict(b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


@given(HOLDERS)
def test_any_value_comes_back(value):
    assert same(decode(encode(value), Holder), value)
    assert same(decode(pretty(encode(value)), Holder), value)
    assert same(decode(encode(value).decode(), Holder), value)


@given(HOLDERS)
def test_a_value_keeps_its_bytes_and_hash_when_it_is_read_again(value):
    again = decode(encode(value), Holder)
    assert encode(again) == encode(value)
    assert content_hash(again) == content_hash(value)


def test_the_order_of_keys_does_not_matter():
    forth, back = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert encode(Workload("w", forth)) == encode(Workload("w", back))
    assert Variant(Draft("numba", ""), forth).hash == Variant(Draft("numba", ""), back).hash


def test_a_draft_is_named_by_what_it_does_and_not_by_who_wrote_it():
    draft = Draft("numba", "text", (Parameter("T", (1, 2)),), ("T < 3",), {"fastmath": True})
    other = msgspec.structs.replace(draft, provenance=Provenance("openai", idea="tiles"))
    assert other.hash == draft.hash
    for change in (
        {"source": "other"},
        {"language": "c"},
        {"parameters": (Parameter("T", (2, 1)),)},
        {"constraints": ()},
        {"flags": {}},
    ):
        assert msgspec.structs.replace(draft, **change).hash != draft.hash


def test_json_has_no_bare_non_finite_numbers():
    data = encode(Mismatch("out", (0,), math.nan, -math.inf, 1.0))
    plain = msgspec.json.decode(data)["value"]
    assert (plain["expected"], plain["got"], plain["allowed"]) == ("float:nan", "float:-inf", 1.0)


# --- Damage -------------------------------------------------------------------------------------


GOOD = encode(Workload("w", {"n": 3}))


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_foreign_bytes_are_one_error(data):
    with pytest.raises(CodecError, match="not a stored Workload"):
        decode(data, Workload)


@given(st.integers(0, len(GOOD) - 1))
def test_a_cut_record_is_one_error(length):
    with pytest.raises(CodecError, match="not a stored Workload"):
        decode(GOOD[:length], Workload)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_raises_nothing_but_the_one_error(at, byte):
    damaged = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    try:
        found = decode(damaged, Workload)
    except CodecError:
        return
    assert isinstance(found, Workload)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (GOOD.replace(b'"n":3', b'"n":"three"'), "damaged Workload"),
        (GOOD.replace(b'"name"', b'"nome"'), "damaged Workload"),
        (GOOD.replace(b'"type":"Workload"', b'"type":"Draft"'), "damaged Workload"),
        (encode(Draft("numba", "")), "expected a stored Workload, found 'outpace.draft/1'"),
        (GOOD.replace(b"workload/1", b"workload/2"), "newer outpace; .* up to version 1"),
        (GOOD.replace(b"workload/1", b"workload/x"), "newer outpace"),
        (GOOD.replace(b"workload/1", b"workload"), "newer outpace"),
        (b'{"schema":"outpace.workload/1","value":' + b"[" * 10**5, "not a stored Workload"),
        (
            b'{"schema":"outpace.workload/1","value":' + b"[" * 10**5 + b"]" * 10**5 + b"}",
            "Workload",
        ),
    ],
)
def test_damage_says_what_is_wrong(data, message):
    assert SCHEMA_VERSION == 1
    with pytest.raises(CodecError, match=message):
        decode(data, Workload)


def test_fields_of_an_older_record_take_their_defaults():
    assert decode(GOOD.replace(b',"scalars":{}', b""), Workload) == Workload("w", {"n": 3})


def test_a_trial_of_an_unknown_status_is_damage():
    trial = encode(Trial("h", "numba", {}, "w", "faster", "")).replace(b'"faster"', b'"great"')
    with pytest.raises(CodecError, match="damaged Trial"):
        decode(trial, Trial)


# --- Arrays -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float32", "float64", "complex128"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 3)])
def test_arrays_come_back(dtype, shape):
    array = np.arange(math.prod(shape)).astype(dtype).reshape(shape)
    for layout in (array, np.asfortranarray(array), array.astype(array.dtype.newbyteorder(">"))):
        found = decode(encode(ArrayRecord.of(layout)), ArrayRecord).array()
        assert found.dtype == np.dtype(dtype)
        assert found.flags.writeable
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, array)


def test_non_finite_elements_keep_their_bits():
    array = np.array([np.nan, -np.inf, -0.0])
    assert ArrayRecord.of(array).array().tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "record",
    [
        ArrayRecord("float64", (2,), "AAAA"),
        ArrayRecord("float64", (2,), "no base64!"),
        ArrayRecord("float65", (1,), "AAAAAAAAAAA="),
        ArrayRecord("object", (1,), "AAAAAAAAAAA="),
    ],
)
def test_a_damaged_array_is_one_error(record):
    with pytest.raises(CodecError, match="damaged"):
        record.array()
