"""Which cases near the workloads a draft is simulated on."""

import numpy as np
import pytest
from jaxtyping import Float64

from outpace.codegen.domain import allows
from outpace.codegen.inputs import MAX_ELEMENTS
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.tuner.numerics.selfcheck import check_reference
from outpace.tuner.simgpu.cases import demanding_cases


def doubled(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """2 x."""
    return 2 * x


def repeated(x: Float64[np.ndarray, "n m"], steps: int) -> Float64[np.ndarray, "n m"]:
    """Doubled so many times."""
    return x * 2.0**steps


def sizes_of(function, workload, **options):
    reference = Reference(function, ReferenceOptions(workloads={"w": workload}, **options))
    cases = demanding_cases(check_reference(reference, 1, cases=4))
    found = [posed.case.sizes for posed in cases]
    assert all(allows(reference.contract, sizes) for sizes in found)
    return found


@pytest.mark.parametrize(
    ("workload", "sizes"),
    [
        ({"n": MAX_ELEMENTS}, []),  # it is among the drawn ones
        ({"n": 1 << 18}, [{"n": 32769}, {"n": 1 << 18}]),
        ({"n": 1 << 23}, [{"n": 32769}]),
    ],
)
def test_the_workload_is_made_smaller_and_tried_itself_if_it_is_not_large(workload, sizes):
    assert sizes_of(doubled, workload) == sizes


def test_a_domain_is_kept_to():
    assert sizes_of(doubled, {"n": 1 << 23}, where="n % 2 == 0") == [{"n": 1 << 15}]


def test_counts_that_are_no_extents_stay():
    workload = {"n": 4000, "m": 3000, "steps": 7}
    assert sizes_of(repeated, workload) == [{"n": 125, "m": 93, "steps": 7}]
