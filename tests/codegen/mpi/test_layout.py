"""Every cell has an owner, blocks are balanced, and neighbours are who they should be."""

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from outpace.codegen.mpi.layout import (
    Layout,
    blocks,
    default_grid,
    grid_dims,
    grid_of,
    grids,
)
from outpace.errors import ContractError, DraftError
from outpace.model import Argument, Contract, Output
from outpace.split import Block, Boundary, Pencil, Replicated, Ring


def contract_of(split, *, dims=("y", "x"), arrays=(("u", ("y", "x")),), out=("y", "x")):
    return Contract(
        arguments=tuple(Argument(name, "float64", shape) for name, shape in arrays),
        outputs=(Output("out", "float64", out),),
        dims=dims,
        workloads=(),
        split=split,
    )


PLANE = contract_of({"y": Block(halo=1), "x": Block(halo=1)})
PRODUCT = contract_of(
    {"m": Block(), "n": Block(), "k": Ring()},
    dims=("m", "k", "n"),
    arrays=(("a", ("m", "k")), ("b", ("k", "n"))),
    out=("m", "n"),
)


@given(st.integers(0, 60), st.integers(1, 20))
def test_blocks_are_contiguous_balanced_and_empty_only_at_the_end(extent, parts):
    found = blocks(extent, parts)
    assert len(found) == parts
    assert [cell for start, end in found for cell in range(start, end)] == list(range(extent))
    lengths = [end - start for start, end in found]
    assert lengths == sorted(lengths, reverse=True)
    assert max(lengths) - min(lengths) <= 1


@given(
    st.integers(0, 9), st.integers(0, 9), st.integers(1, 5), st.integers(1, 5), st.integers(-5, 5)
)
def test_every_cell_has_one_owner_who_is_where_the_formula_says(y, x, rows, columns, ghosts):
    assume(y + ghosts >= 0)
    contract = contract_of(PLANE.split, out=(f"y+{ghosts}".replace("+-", "-"), "x"))
    sizes = {"y": y, "x": x}
    layout = Layout.of(contract, sizes, {"y": rows, "x": columns})
    out = contract.outputs[0]
    owners = np.full((y + ghosts, x), -1)
    for rank in range(layout.ranks):
        cells = layout.own(out, rank)
        assert (owners[cells] == -1).all()
        owners[cells] = rank
        assert owners[cells].shape == layout.shape(out, rank)
    assert (owners >= 0).all()
    row_owners = {c: k for k, (a, b) in enumerate(blocks(y, rows)) for c in range(a, b)}
    for cell in range(owners.shape[0]):
        aligned = min(max(cell - ghosts // 2, 0), max(y - 1, 0))
        for rank in owners[cell]:
            assert layout.coordinates(int(rank))["y"] == row_owners.get(aligned, 0)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 8), st.integers(0, 8))
def test_ranks_are_row_major_and_sizes_are_those_of_the_blocks(rows, columns, y, x):
    layout = Layout.of(PLANE, {"y": y, "x": x}, {"y": rows, "x": columns})
    places = [tuple(layout.coordinates(rank).values()) for rank in range(layout.ranks)]
    assert places == list(product(range(rows), range(columns)))
    for rank in range(layout.ranks):
        assert layout.rank_at(layout.coordinates(rank)) == rank
        own = layout.sizes(rank)
        assert (own["y"], own["x"]) == layout.shape(PLANE.arguments[0], rank)


@pytest.mark.parametrize("boundary", Boundary)
@given(n=st.integers(0, 9), parts=st.integers(1, 7))
def test_neighbours_own_the_adjacent_cells(boundary, n, parts):
    contract = contract_of({"y": Block(halo=1, boundary=boundary)})
    layout = Layout.of(contract, {"y": n, "x": 3}, {"y": parts})
    for rank in range(parts):
        start, end = layout.block("y", rank)
        for direction, cell in ((-1, start - 1), (1, end)):
            other = layout.neighbour(rank, "y", direction)
            beside = cell % n if boundary is Boundary.PERIODIC and n else cell
            if start == end or not 0 <= beside < n:
                assert other is None
            else:
                first, last = layout.block("y", other)
                assert first <= beside < last


def test_arrays_are_whole_along_dims_that_they_do_not_mention():
    contract = contract_of(
        {"y": Block()}, arrays=(("u", ("y", "x")), ("weights", ("x",))), out=("y", "x")
    )
    layout = Layout.of(contract, {"y": 8, "x": 4}, {"y": 4})
    u, weights = contract.arguments
    assert layout.own(u, 1) == (slice(2, 4), slice(0, 4))
    assert layout.own(weights, 1) == (slice(0, 4),)
    assert layout.is_distributed(u)
    assert not layout.is_distributed(weights)


def test_a_dim_on_two_axes_is_cut_on_the_first():
    square = contract_of({"n": Block()}, dims=("n",), arrays=(("u", ("n", "n")),), out=("n", "n"))
    layout = Layout.of(square, {"n": 5}, {"n": 2})
    assert layout.own(square.outputs[0], 1) == (slice(3, 5), slice(0, 5))


def test_the_dim_that_a_product_sums_over_is_cut_over_the_ranks_that_are_left():
    assert grid_dims(PRODUCT) == ("m", "n")
    layout = Layout.of(PRODUCT, {"m": 4, "n": 9, "k": 6}, {"m": 2, "n": 3})
    a, b = PRODUCT.arguments
    assert layout.own(a, 5) == (slice(2, 4), slice(4, 6))  # row 1 of the grid, column 2
    assert layout.own(b, 5) == (slice(3, 6), slice(6, 9))
    for part in (a, b):
        held = {tuple((c.start, c.stop) for c in layout.own(part, rank)) for rank in range(6)}
        assert len(held) == 6
    rows = Layout.of(PRODUCT, {"m": 4, "n": 9, "k": 6}, {"m": 2})
    assert rows.own(a, 1) == (slice(2, 4), slice(0, 6))
    assert rows.own(b, 1) == (slice(3, 6), slice(0, 9))


@given(st.integers(1, 64))
def test_all_grids_are_listed_once(ranks):
    found = grids(PLANE, ranks)
    assert {tuple(grid.values()) for grid in found} == {
        (a, ranks // a) for a in range(1, ranks + 1) if ranks % a == 0
    }
    assert len(found) == len({tuple(grid.values()) for grid in found})


def test_each_array_is_cut_along_its_first_pencil_dim():
    pencils = contract_of({"y": Pencil(), "x": Pencil()}, out=("x", "y"))
    assert grids(pencils, 4) == [{"y": 4}]
    layout = Layout.of(pencils, {"y": 8, "x": 6}, {"y": 2})
    assert layout.own(pencils.arguments[0], 1) == (slice(4, 8), slice(0, 6))
    assert layout.own(pencils.outputs[0], 1) == (slice(3, 6), slice(0, 8))


@pytest.mark.parametrize(
    ("sizes", "ranks", "grid"),
    [
        ({"y": 64, "x": 64}, 6, {"y": 3, "x": 2}),
        ({"y": 64, "x": 64}, 7, {"y": 7, "x": 1}),
        ({"y": 2, "x": 64}, 4, {"y": 2, "x": 2}),
        ({"y": 1, "x": 64}, 4, {"y": 1, "x": 4}),
        ({"y": 0, "x": 0}, 1, {"y": 1, "x": 1}),
    ],
)
def test_the_default_grid_is_square_and_leaves_no_rank_idle(sizes, ranks, grid):
    assert default_grid(PLANE, sizes, ranks) == grid
    assert prod(grid.values()) == ranks


def test_a_reference_that_names_no_dim_cannot_be_cut():
    with pytest.raises(ContractError, match="name one, as in split="):
        default_grid(contract_of({"y": Replicated()}), {"y": 4, "x": 4}, 2)


SIZES = {"y": 12, "x": 12}


@pytest.mark.parametrize(
    ("flags", "params", "grid"),
    [
        ({}, {}, {"y": 3, "x": 2}),
        ({"grid": "x"}, {}, {"x": 6}),
        ({"grid": "y x"}, {"GRID_Y": 1, "GRID_X": 6}, {"y": 1, "x": 6}),
        ({"grid": "x y"}, {"GRID_Y": 6}, {"y": 6, "x": 1}),
    ],
)
def test_the_grid_of_a_draft(flags, params, grid):
    assert grid_of(flags, params, PLANE, SIZES, 6) == grid


@pytest.mark.parametrize(
    ("flags", "params", "message"),
    [
        ({"grid": "z"}, {}, "must name dims that may be cut"),
        ({"grid": 3}, {}, "must name dims that may be cut"),
        ({"grid": "y y"}, {}, "each once"),
        ({"grid": "y x"}, {"GRID_Y": 4, "GRID_X": 2}, "8 places for 6 ranks"),
        ({"grid": "y x"}, {"GRID_Y": 6.0}, "whole numbers"),
        ({"grid": "y x"}, {"GRID_Y": -6, "GRID_X": -1}, "whole numbers"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(flags, params, message):
    with pytest.raises(DraftError, match=message):
        grid_of(flags, params, PLANE, SIZES, 6)


def test_axes_that_cannot_be_cut_are_refused():
    doubled = contract_of({"y": Block()}, arrays=(("u", ("y", "2*y")), ("v", ("2*y",))))
    Layout.of(doubled, SIZES, {"y": 1})
    with pytest.raises(ContractError, match="the axis '2\\*y' of v cannot be cut along y"):
        Layout.of(doubled, SIZES, {"y": 2})
    with pytest.raises(ContractError, match="the process grid names z"):
        Layout.of(PLANE, SIZES, {"z": 2})
