"""Annotations that are wrong for some cells, some arguments or some steps alone."""

from pathlib import Path

import pytest

from outpace.codegen.reference import load_reference
from outpace.tuner.numerics.annotation import prove_annotation

FILE = Path(__file__).with_name("annotation_references.py")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("every_other", "it depends on a size, on positions"),
        ("of_a_radius", "the declared halo is 1"),
        ("wider_later", "the declared halo 1 reaches 2 in 2 steps"),
        ("beyond_the_ghosts", "write Block(halo=(2, 1))"),
        ("far_where_large", "write Block(halo=(4, 1))"),
        ("spread", "'out1' is not the sum of what the reference gives on blocks"),
        ("roughness", "'out' is not the sum of what the reference gives on blocks"),
    ],
)
def test_what_is_wrong_is_named(name, said):
    proof = prove_annotation(load_reference(f"{FILE}:{name}"), seed=3)
    assert said in (proof.violation or "")
