import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codegen.capture.reading import Obstacle
from outpace.codegen.capture.sizes import name_dims
from outpace.codegen.dims import bind_shapes, shape_of


def calls_of(sizes, inputs, outputs):
    """Calls of these sizes; arrays given by their extents, ints by their value."""

    def made(shape, size):
        value = shape(*size)
        return np.empty(value) if isinstance(value, tuple) else value

    return [
        ({n: made(shape, size) for n, shape in inputs.items()}, [made(o, size) for o in outputs])
        for size in sizes
    ]


def test_extents_that_are_always_equal_have_one_name_and_neighbours_an_expression():
    calls = calls_of(
        [(8, 20), (12, 20), (9, 31)],
        {
            "u": lambda n, m: (n, m + 1),
            "p": lambda n, m: (n, m),
            "xyz": lambda n, m: (n, 3),
            "steps": lambda n, m: 5,
        },
        [lambda n, m: (n - 2, m + 1), lambda n, m: 1.0],
    )
    named = name_dims(calls, [])
    assert named.inputs == {"u": ("n", "m+1"), "p": ("n", "m"), "xyz": ("n", "3")}
    assert named.outputs == (("n-2", "m+1"), ())
    assert named.notes == ()


def test_an_int_argument_that_is_an_extent_names_it():
    calls = calls_of([(40, 7), (60, 9)], {"a": lambda n, k: (n,), "bins": lambda n, k: k},
                     [lambda n, k: (k + 1,)])  # fmt: skip
    assert name_dims(calls, []).outputs == (("bins+1",),)


def test_one_size_says_so_and_a_name_that_is_taken_is_not_given():
    calls = calls_of([(40, 41)], {"n": lambda n, m: (n, m), "m": lambda n, m: (n, 3)}, [])
    named = name_dims(calls, ["k"])
    assert named.inputs == {"n": ("p", "p+1"), "m": ("p", "3")}
    assert named.notes[0].startswith("one size was seen")


def test_an_extent_that_follows_from_nothing_is_an_obstacle():
    calls = calls_of([(40, 7), (60, 90)], {"a": lambda n, k: (n,)}, [lambda n, k: (k,)])
    with pytest.raises(Obstacle, match=r"an extent of result 0 \(7\) follows from no argument"):
        name_dims(calls, [])


def test_arrays_of_several_ranks_are_an_obstacle():
    calls = [({"a": np.zeros(3)}, []), ({"a": np.zeros((3, 3))}, [])]
    with pytest.raises(Obstacle, match="`a` has 1 or 2 dims by turns; write one function for each"):
        name_dims(calls, [])


@given(
    st.lists(st.tuples(st.integers(5, 40), st.integers(5, 40)), min_size=1, max_size=5),
    st.lists(
        st.lists(st.tuples(st.sampled_from((0, 1)), st.integers(-2, 4)), min_size=1, max_size=3),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 40),
)
def test_named_dims_bind_to_every_call_they_were_named_from(sizes, arrays, count):
    inputs = {
        f"a{i}": (lambda *size, axes=axes: tuple(size[axis] + c for axis, c in axes))
        for i, axes in enumerate(arrays)
    }
    calls = calls_of(sizes, {**inputs, "count": lambda *size: count}, [inputs["a0"]])
    named = name_dims(calls, [])
    for given_, outputs in calls:
        shapes = [(n, dims, given_[n].shape) for n, dims in named.inputs.items()]
        bound = bind_shapes(shapes, {"count": count})
        assert shape_of(named.outputs[0], bound) == outputs[0].shape
