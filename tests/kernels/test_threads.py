"""Kernels are called from several threads at a time, as the references they stand for may be."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from outpace.kernels.languages import language_named
from outpace.model import Draft, Variant

TWICE = """
@outpace.optimize(workloads={"small": dict(n=8)})
def twice(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return u * 2.0
"""
STATIC = """\
#include <stdint.h>
#include <string.h>
static double kept[100000];
void kernel(int64_t n, const double *restrict u, double *restrict out) {
    for (int sweep = 0; sweep < 20; sweep++)
        for (int64_t i = 0; i < n; i++) kept[i] = u[i] * (1 + (sweep > 0));
    memcpy(out, kept, (size_t)n * sizeof *u);
}
"""


@pytest.mark.skipif(language_named("c").unavailable() is not None, reason="there is no C compiler")
def test_a_kernel_with_static_memory_is_right_in_every_thread(module, tmp_path):
    contract = module(TWICE).twice.reference.contract
    language = language_named("c")
    source = tmp_path / "draft.c"
    source.write_text(language.bind(Variant(Draft("c", STATIC))))
    language.build(source, contract, tmp_path)
    kernel = language.load(source, contract, tmp_path)

    def is_right(seed):
        u = np.random.default_rng(seed).uniform(size=100_000)
        out = np.empty_like(u)
        kernel(u, out)
        return np.array_equal(out, 2.0 * u)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(is_right, range(60)))
