"""Kernels that may start threads are told by their source, in doubt wrongly rather than missed."""

import pytest

from outpace.kernels.serve import runs_threads
from outpace.model import Draft, Variant


@pytest.mark.parametrize(
    "source",
    [
        "#pragma omp parallel for\n",
        '#define TEAM _Pragma("omp par" "allel for")\n',
        "#define TEAM(a, b) a ## b\nint x = TEAM(pth, read_create)();\n",
        "%: define TEAM(a, b) a %:%: b\n",
        "#define TEAM(a, b) a ??=??= b\n",
        "int par\\\nallel;\n",
        "#include <threads.h>\n",
    ],
)
def test_c_that_may_start_threads(source):
    assert runs_threads(Variant(Draft("c", source)))


def test_c_without_a_mark_of_threads():
    source = "#include <math.h>\nvoid kernel(double *out) { out[0] = sqrt(2.0); }\n"

    assert not runs_threads(Variant(Draft("c", source)))
