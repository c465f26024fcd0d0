"""What serving costs: a promoted kernel called through the decorated function, and directly.

The difference of the two medians, less the allocation of the output, is the cost of dispatch; the
target is 2 us. Run with `make bench`, which writes `results/dispatch.json`.
"""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float64

import outpace
from outpace.codegen.drafters.builtin import PLAIN_IDEA
from outpace.kernels import promotions
from outpace.kernels.builds import load_promoted
from outpace.kernels.target import current_target
from outpace.model import Evidence, Grade, Promotion, Provenance, Speedup, Variant

DRAFT = """import numba


@numba.njit
def kernel(u, v, out):
    for i in range(u.size):
        out[i] = u[i] + v[i]
"""


@outpace.optimize(workloads={"only": {"n": 16}})
def add(u: Float64[np.ndarray, "n"], v: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Sixteen additions, so that nothing but the call is measured."""
    return u + v


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """`add` served by a promoted kernel."""
    folder = tmp_path_factory.mktemp("promoted")
    reference, target = add.reference, current_target()
    workload = reference.contract.workloads[0]
    variant = Variant(outpace.Draft("numba", DRAFT, provenance=Provenance("user", idea=PLAIN_IDEA)))
    evidence = Evidence(workload, Speedup(2.0, 2.0, 2.0), (), "high-precision", {}, 0.0)
    promotions.write(
        Promotion(
            reference.name,
            promotions.key_for(reference, target, [workload]),
            variant,
            (evidence,),
            target,
            Grade.B,
            reference.contract,
        ),
        reference,
        folder,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTPACE_PROMOTED", str(folder))
        add.reload()
        assert "promotion" in str(add.explain(np.ones(16), np.ones(16)))
        yield add


def test_served(benchmark, served):
    u, v = np.ones(16), np.ones(16)
    served(u, v)  # the first call loads the kernel
    assert benchmark(served, u, v)[0] == 2.0


def test_direct_call_and_allocation(benchmark, served):
    del served
    u, v = np.ones(16), np.ones(16)
    reference = add.reference
    variant = Variant(outpace.Draft("numba", DRAFT))
    kernel = load_promoted(variant, reference.contract)

    def direct():
        out = np.empty((16,), dtype=np.float64)
        kernel(u, v, out)
        return out

    assert benchmark(direct)[0] == 2.0
