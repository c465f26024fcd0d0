"""The most threads of a block that kernels declare, as they stand in their source."""

import pytest

from outpace.model import Parameter
from outpace.tuner.simgpu.source import launch_bounds, translation_unit

_PRODUCT = "max(BX, 2) * BY"


@pytest.mark.parametrize(
    ("code", "bounds"),
    [
        ("__global__ void f(int n) {}", {}),
        ("__global__ void __launch_bounds__(128) f(int n) {}", {"f": "128"}),
        ("__global__ __launch_bounds__(128, 4) void f() {}", {"f": "128"}),
        ("__global__ void\n__launch_bounds__( max(BX, 2) *\n BY , 2)\nf() {}", {"f": _PRODUCT}),
        ("__launch_bounds__(1) void f() {} __launch_bounds__(2) void g() {}", {"f": "1", "g": "2"}),
        ("__launch_bounds__(1", {}),
    ],
)
def test_bounds_are_found_by_the_names_of_kernels(code, bounds):
    assert launch_bounds(code) == bounds


def test_the_table_of_kernels_holds_them():
    unit = translation_unit((Parameter("B", (64,)),), ("f", "g<2>"), "", {"f": "B"})
    assert '("f", (&f), B)' in unit
    assert '("g<2>", (&g<2>), 0)' in unit
