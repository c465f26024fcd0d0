"""Shared memory: buffers are aligned, disjoint, in bounds, and poison shows."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.errors import EnvironmentError_
from outpace.tuner.arena import ALIGNMENT, Arena, Layout, Mapping, poison

shapes = st.lists(st.integers(0, 40), max_size=3).map(tuple)
dtypes = st.sampled_from(["bool", "int8", "int64", "float32", "float64", "complex128"])


@given(st.lists(st.tuples(shapes, dtypes), min_size=1, max_size=6), st.integers(0, 2**32))
def test_room_is_always_enough_and_buffers_are_disjoint(arrays, seed):
    rng = np.random.default_rng(seed)
    size = sum(Layout.room(prod(s) * np.dtype(d).itemsize) for s, d in arrays)
    layout = Layout(size, rng)
    end = 0
    for shape, dtype in arrays:
        placed = layout.place(shape, dtype)
        assert placed.offset % ALIGNMENT == 0
        assert placed.offset >= end
        end = placed.offset + placed.nbytes
    assert end <= size


def test_offsets_differ_from_pair_to_pair():
    rng = np.random.default_rng(0)
    offsets = {Layout(1 << 16, rng).place((10,), "float64").offset for _ in range(50)}
    assert len(offsets) > 10


def test_two_mappings_of_one_arena_share_memory():
    arena = Arena(1000, read_only_descriptor=True)
    other = Mapping(arena.descriptor, arena.size, writable=False)
    placed = Layout(arena.size, np.random.default_rng(0)).place((5,), "float64")
    arena.mapping.array(placed)[...] = np.arange(5.0)
    np.testing.assert_array_equal(other.array(placed), np.arange(5.0))
    assert other.array(placed).flags.writeable  # so that Numba compiles the caller's types
    other.close()
    arena.close()


def test_a_read_only_descriptor_cannot_be_mapped_writable():
    arena = Arena(1000, read_only_descriptor=True)
    with pytest.raises(EnvironmentError_):
        Mapping(arena.descriptor, arena.size, writable=True)
    arena.close()


def test_an_array_outside_its_arena_is_refused():
    arena = Arena(1, read_only_descriptor=False)
    with pytest.raises(ValueError, match="too small"):
        Layout(arena.size, np.random.default_rng(0)).place((10**6,), "float64")
    arena.close()


@given(shapes, dtypes)
def test_poison_is_never_a_plausible_value(shape, dtype):
    array = np.zeros(shape, dtype=dtype)
    poison(array, np.random.default_rng(0))
    raw = array.reshape(-1).view(np.uint8)
    if array.dtype.kind in "fc":
        assert len({str(value) for value in array.reshape(-1)}) <= 1  # NaN, or one number
    else:
        assert (raw > 1).all()
