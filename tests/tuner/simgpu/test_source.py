"""What is done to the source of a draft before it is compiled for the CPU."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.model import Parameter
from outpace.tuner.simgpu.source import (
    Unsupported,
    device_file,
    dynamic_shared,
    translation_unit,
    without_comments,
)


@pytest.mark.parametrize(
    ("code", "lacking"),
    [
        ("#include <cuda_fp16.h>", "half"),
        ("__half x;", "half"),
        ("__nv_bfloat16 x;", "bfloat16"),
        ("using namespace nvcuda;", "wmma"),
        ("nvcuda::wmma::fragment<int> x;", "wmma"),
        ('asm volatile("bar.sync 0;");', "inline assembly"),
        ("f<<<1, 1>>>();", "launches from device code"),
        ("cuda::barrier<cuda::thread_scope_block> b;", "cuda::pipeline"),
        ("auto g = cg::this_grid();", "barriers of the whole grid"),
        ("tex2D<float>(t, x, y);", "textures"),
        ("double *p = new double[4];", "memory allocated by device code"),
        ("#include <unistd.h>", "the header unistd.h"),
        ("#include HEADER", "the header HEADER"),
        ("__cluster_dims__(2, 1, 1)", "thread block clusters"),
    ],
)
def test_what_is_not_simulated_is_named(code, lacking):
    with pytest.raises(Unsupported, match="unsupported in simulation: ") as caught:
        without_comments(f"int a;\n{code}\n")
    assert lacking in str(caught.value)
    assert "line 2" in str(caught.value)


@pytest.mark.parametrize("code", ["// wmma", "/* asm */", 'printf("half <<< asm");', "int half;"])
def test_names_in_comments_and_texts_are_no_use(code):
    assert without_comments(code).count("\n") == code.count("\n")


def test_a_comment_goes_on_after_a_backslash():
    code = "a; // one \\\n b = 0; \\\r\n c = 0;\nd;"
    assert without_comments(code).split() == ["a;", "d;"]
    assert without_comments(code).count("\n") == code.count("\n")


def test_arrays_of_dynamic_shared_memory_become_pointers():
    found = dynamic_shared("extern __shared__ __align__(16) unsigned char room[];\nint x;")
    assert "unsigned char *const room = " in found
    assert found.endswith(";\nint x;")


def test_other_externs_stay():
    code = 'extern "C" __global__ void f(int x[]);'
    assert dynamic_shared(code) == code


@given(
    st.lists(st.sampled_from(["int a; ", "// c\n", "/* d\ne */", "\n", '"f // g"; ']), max_size=9)
)
def test_lines_keep_their_numbers(pieces):
    code = "".join(pieces)
    device = device_file(code, ())
    assert device.count("\n") == code.count("\n") + 2


def test_parameters_are_macros_and_cannot_be_defined_again():
    parameter = Parameter("TILE", (8,))
    assert "#define TILE (8)" in translation_unit((parameter,), ("f<TILE>",), "")
    assert "TILE_of_draft" in device_file("#define TILE 4\n", (parameter,))
