"""The templates' geometry, which programs carry with them, agrees with the layout of the judge."""

from hypothesis import given, settings
from hypothesis import strategies as st

from outpace.codegen.mpi.layout import Layout, blocks, default_grid
from outpace.codegen.mpi.templates import geometry
from outpace.codegen.mpi.templates.geometry import Axis, Geometry, Reach
from outpace.codegen.mpi.templates.messages import Phase, overlap
from outpace.model import Argument, Contract, Output
from outpace.split import Block, Boundary

EXTENTS = st.integers(0, 12)
PARTS = st.integers(1, 4)


def contract_of(boundary):
    return Contract(
        (Argument("u", "float64", ("y", "x+3")),),
        (Output("out", "float64", ("y", "x")),),
        ("y", "x"),
        (),
        split={"y": Block(1, boundary=boundary), "x": Block(1)},
    )


AXES = {
    "u": (Axis("y", 0, ("y",)), Axis("x", 3, ("x",))),
    "out": (Axis("y", 0, ("y",)), Axis("x", 0, ("x",))),
}


@given(EXTENTS, EXTENTS, PARTS, PARTS)
@settings(max_examples=50)
def test_own_cells_and_grids_are_those_of_the_layout(y, x, rows, columns):
    contract, sizes = contract_of(Boundary.FIXED), {"y": y, "x": x}
    layout = Layout.of(contract, sizes, {"y": rows, "x": columns})
    mine = Geometry(dict(layout.grid), sizes, {}, lambda _: True)
    for rank in range(layout.ranks):
        for part in contract.parts:
            cells = tuple((c.start, c.stop) for c in layout.own(part, rank))
            assert mine.own(AXES[part.name], rank) == cells
    chosen = geometry.default_grid(("y", "x"), sizes, rows * columns)
    assert chosen == default_grid(contract, sizes, rows * columns)
    assert tuple(geometry.blocks(y, rows)) == blocks(y, rows)


@given(EXTENTS, EXTENTS, PARTS, PARTS, st.integers(0, 3), st.integers(0, 3), st.booleans())
@settings(max_examples=50)
def test_every_needed_cell_is_received_once(y, x, rows, columns, low, high, wraps):
    reach = {"y": Reach("y", low, high, wraps), "x": Reach("x", high, low, False)}
    mine = Geometry({"y": rows, "x": columns}, {"y": y, "x": x}, reach, lambda _: True)
    phase = Phase(mine, [AXES["u"]], None)
    for rank in range(mine.ranks):
        own, needed = mine.own(AXES["u"], rank), mine.needed(AXES["u"], rank)
        got = [m.box for m in phase.received(rank)]
        boxes = [box for box in (overlap(own, needed), *got) if box is not None]
        cells = [(i, j) for (a, b), (c, d) in boxes for i in range(a, b) for j in range(c, d)]
        (a, b), (c, d) = needed
        assert sorted(cells) == [(i, j) for i in range(a, b) for j in range(c, d)]
        for message in phase.received(rank):
            sent = [m for m in phase.sent(message.peer) if m.peer == rank]
            assert [m.tag for m in sent].count(message.tag) == 1
