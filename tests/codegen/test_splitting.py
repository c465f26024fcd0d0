"""What `split`, `steps` and `reduce` may say, and what each error tells the user."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float64

from outpace.codec import decode, encode
from outpace.codegen.contract import build_contract
from outpace.codegen.mpi.layout import Layout
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.codegen.splitting import CutAxis, carried, cut_axes, ghosts
from outpace.errors import ContractError
from outpace.model import Contract
from outpace.split import Block, Boundary, Combination, Pencil, Reduced, Replicated, Ring

SIZES = {"w": {"y": 9, "x": 8, "steps": 2}}
YX = {"w": {"y": 9, "x": 8}}
Y = {"w": {"y": 9}}


def step(
    u: Float64[np.ndarray, "y x"],
    wide: Float64[np.ndarray, "y+4 x"],
    dt: float,
    steps: int,
) -> tuple[Float64[np.ndarray, "y x"], float]: ...


def build(fn=step, sizes=SIZES, **options):
    return build_contract(fn, workloads=sizes, **options)


def test_everything_that_is_accepted():
    contract = build(
        split={"y": Block(halo=(1, 0), minimum=2), "x": Replicated()},
        steps="steps",
        reduce={"out1": Reduced("max", reassociable=False)},
    )
    assert contract.split == {"y": Block(halo=(1, 0), minimum=2), "x": Replicated()}
    assert contract.steps == "steps"
    assert contract.reduce == {"out1": Reduced(Combination.MAXIMUM, reassociable=False)}
    assert contract.reduce["out1"].operation is Combination.MAXIMUM
    assert decode(encode(contract), Contract) == contract


def test_words_become_members():
    contract = build(split={"x": Block(halo=1, boundary="periodic")})
    assert contract.split["x"].boundary is Boundary.PERIODIC


def test_a_contract_from_before_still_reads():
    contract = build(split={"y": Block(halo=1)})
    stored = json.loads(encode(contract))
    del stored["value"]["steps"], stored["value"]["reduce"]
    del stored["value"]["split"]["y"]["boundary"]
    assert decode(json.dumps(stored), Contract) == contract


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": {"z": Block()}}, r"split names \['z'\]; the dims are \['y', 'x'\]"),
        ({"split": {"steps": Block()}}, r"split names \['steps'\]"),
        ({"split": {"y": 1}}, r"split of 'y' is 1; write Block\(halo=1\), Ring\(\)"),
        ({"split": {"y": Block}}, r"write Block\(halo=1\), Ring\(\)"),
        ({"split": {"y": Block(halo=-1)}}, "a halo is at least 0 cells, or a pair"),
        ({"split": {"y": Block(halo=1.5)}}, "a halo is at least 0 cells, or a pair"),
        ({"split": {"y": Block(halo=(1, 2, 3))}}, "a halo is at least 0 cells, or a pair"),
        ({"split": {"y": Block(halo=(1,))}}, "write halo=1 or a pair"),
        ({"split": {"y": Block(minimum=0)}}, "a minimum at least 1 is needed"),
        ({"split": {"y": Ring(minimum=0)}}, "a minimum at least 1 is needed"),
        (
            {"split": {"y": Block(boundary="open")}},
            "the boundary of 'y' is 'open'; write one of 'fixed', 'periodic'",
        ),
        (
            {"split": {"y": Block(halo=1, boundary=Boundary.PERIODIC)}},
            r"'y' is periodic, but 'wide' has 'y\+4', which carries its surroundings; write bound",
        ),
        ({"split": {"y": Pencil()}}, "'y' is the only Pencil; .* declare two of them"),
        ({"steps": "dt"}, r"steps='dt' is no int argument; these are \['steps'\]"),
        ({"steps": "sweeps"}, r"steps='sweeps' is no int argument"),
        (
            {"reduce": {"norm": Reduced()}},
            r"reduce names \['norm'\]; the returned outputs are \['out0', 'out1'\], left to right",
        ),
        ({"reduce": {"out1": "sum"}}, r"reduce of 'out1' is 'sum'; write Reduced\(\"sum\"\)"),
        (
            {"reduce": {"out1": Reduced("mean")}},
            "the reduction of 'out1' is 'mean'; write one of 'sum', 'prod', 'min', 'max'",
        ),
        ({"reduce": {"out1": Reduced()}}, r"no dim is cut; write split=\{...\} with a Block\(\)"),
        (
            {"reduce": {"out0": Reduced()}, "split": {"x": Block()}},
            "reduce names 'out0', which has the axis 'x' that is cut; .* or leave 'x' out of split",
        ),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ContractError, match=message):
        build(**options)


def doubled(u: Float64[np.ndarray, "2*y"], v: Float64[np.ndarray, "y"]) -> None: ...
def shortened(u: Float64[np.ndarray, "y"], v: Float64[np.ndarray, "y-1"]) -> None: ...
def joined(u: Float64[np.ndarray, "y"], v: Float64[np.ndarray, "x"],
           w: Float64[np.ndarray, "y+x"]) -> None: ...  # fmt: skip
def square(u: Float64[np.ndarray, "y y"]) -> None: ...
def counted(u: Float64[np.ndarray, "steps y"], steps: int) -> None: ...


COUNTED = {"w": {"y": 9, "steps": 2}}


@pytest.mark.parametrize(
    ("fn", "sizes", "options", "message"),
    [
        (doubled, Y, {"split": {"y": Block()}}, r"the axis '2\*y' of 'u' cannot be cut along 'y'"),
        (shortened, Y, {"split": {"y": Ring()}}, "the axis 'y-1' of 'v' cannot be cut along 'y'"),
        (
            joined,
            YX,
            {"split": {"y": Block(), "x": Block()}},
            r"the axis 'y\+x' of 'w' follows two dims that may be cut, y and x; leave one of them",
        ),
        (square, Y, {"split": {"y": Block()}}, r"'u' has 'y' on two axes.*write Ring\(\) for 'y'"),
        (
            counted,
            COUNTED,
            {"steps": "steps"},
            "is the extent of an array",
        ),
    ],
)
def test_axes_that_cannot_be_cut(fn, sizes, options, message):
    with pytest.raises(ContractError, match=message):
        build(fn, sizes, mutates=("u",), **options)


def test_a_dim_that_stays_whole_may_have_any_form():
    for fn, split in ((doubled, {"y": Replicated()}), (square, {"y": Ring()})):
        assert build(fn, Y, mutates=("u",), split=split).split == split


@dataclass
class State:
    u: Float64[np.ndarray, "y"]
    steps: int


def advanced(state: State) -> Float64[np.ndarray, "y"]: ...


def test_a_field_of_a_structure_can_count_the_steps():
    options = ReferenceOptions(
        workloads={"w": {"y": 9, "state_steps": 2}}, split={"y": Block()}, steps="state.steps"
    )
    assert Reference(advanced, options).contract.steps == "state_steps"


def test_an_array_is_cut_along_its_first_pencil_alone():
    def turned(a: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "x y"]: ...

    contract = build(turned, YX, split={"y": Pencil(), "x": Pencil()})
    assert cut_axes(contract, contract.arguments[0]) == (CutAxis(0, "y", 0),)
    assert cut_axes(contract, contract.outputs[0]) == (CutAxis(0, "x", 0),)
    blocks = build(split={"y": Block(), "x": Block()})
    assert cut_axes(blocks, blocks.arguments[1]) == (CutAxis(0, "y", 4), CutAxis(1, "x", 0))


def test_padding_takes_the_place_of_ghost_cells():
    padded = build(split={"y": Block(halo=2), "x": Block(halo=(3, 1))}, steps="steps")
    assert ghosts(padded, "y") == (0, 0)
    assert ghosts(padded, "y", 3) == (4, 4)
    assert ghosts(padded, "x", 2) == (6, 2)
    short = build(split={"y": Block(halo=3)})
    assert ghosts(short, "y") == (3, 3)


def test_what_can_carry_on():
    def waves(
        a: Float64[np.ndarray, "n"], b: Float64[np.ndarray, "n"], c: Float64[np.ndarray, "m"]
    ) -> tuple[Float64[np.ndarray, "n"], float, Float64[np.ndarray, "n"]]: ...

    contract = build(waves, {"w": {"n": 3, "m": 2}})
    assert carried(contract) == ({"out0": "a", "out2": "b"}, {"out0": "b", "out2": "a"})
    assert carried(build(waves, {"w": {"n": 3, "m": 2}}, mutates=("a",)))[0] == {}
    assert carried(build()) == ({"out0": "u"},)


@given(st.integers(0, 12), st.integers(1, 15), st.integers(0, 3))
def test_padding_and_halo_cells_of_a_block_lie_in_the_array(extent, parts, steps):
    contract = build(split={"y": Block(halo=2)})
    layout = Layout.of(contract, {"y": extent, "x": 2, "steps": steps}, {"y": parts})
    wide = contract.arguments[1]
    low, high = ghosts(contract, "y", steps)
    for rank in range(layout.ranks):
        start, end = layout.block("y", rank)
        held = range(max(0, start - low), min(extent, end + high) + 4)
        own = layout.own(wide, rank)[0]
        assert start == end or set(range(own.start, own.stop)) <= set(held)
