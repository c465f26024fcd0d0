"""Nests are put together under the indices of one of them."""

from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Apply, Nest, Op, Position, Range, Store
from outpace.codegen.nests.rewriting.fuse import renamed


def nest(array, row, column):
    """An array that is set to row - column**2."""
    at, across = Position(affine.symbol(row)), Position(affine.symbol(column))
    square = Apply(Op.MULTIPLY, (across, across), "int64")
    value = Apply(Op.SUBTRACT, (at, square), "int64")
    ranges = tuple(Range(name, affine.symbol("n")) for name in (row, column))
    return Nest(ranges, (Store(array, (at, across), value),))


def test_indices_that_are_exchanged_are_renamed_once():
    assert renamed(nest("b", "i", "j"), nest("a", "j", "i"), 2) == nest("b", "j", "i")


def test_only_the_first_indices_are_renamed():
    assert renamed(nest("b", "i", "j"), nest("a", "k", "m"), 1) == nest("b", "k", "j")
