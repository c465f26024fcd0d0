"""Drafts in CUDA: how they are read, and what NVRTC says of them where it is installed."""

import json
import subprocess

import pytest

from outpace.codegen.cuda import parse_plan, split_plan
from outpace.codegen.cuda.limits import ARCHITECTURES
from outpace.codegen.cuda.prototype import launch_checks
from outpace.errors import DraftError
from outpace.kernels.languages import language_named, language_of
from outpace.kernels.languages.base import (
    BuildError,
    InvalidDraft,
    parse_draft,
    read_draft,
    render_draft,
)
from outpace.kernels.languages.cuda import CUDA
from outpace.kernels.languages.cuda_report import KernelUse, kernels_used, launches_used
from outpace.kernels.languages.device_headers import device_headers
from outpace.model import (
    Argument,
    Contract,
    Draft,
    Output,
    Parameter,
    Provenance,
    Variant,
    Workload,
)

CONTRACT = Contract(
    (
        Argument("x", "float64", ("n",)),
        Argument("z", "complex64", ("n",)),
        Argument("times", "int64"),
        Argument("a", "float32"),
    ),
    (Output("out", "float64", ("n",)), Output("seen", "bool", ("n",))),
    ("n",),
    (Workload("small", {"n": 1000, "times": 2}),),
)
ARGUMENTS = ["x", "z", "out", "seen", "times", "a", "n + 1"]
STEP = {
    "launch": "scale<ITEMS, 4>",
    "grid": ["ceildiv(n, BLOCK)"],
    "block": ["BLOCK"],
    "shared": "8 * BLOCK",
    "arguments": ARGUMENTS,
}
SIGNATURE = (
    "const double *x, const float2 *z, double *out, uint8_t *seen, int64_t times, float a, int n1"
)
KERNEL = """
#include <math.h>
template <int ITEMS_, int W>
__global__ void scale(SIGNATURE) {
  extern __shared__ double part[];
  int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
  part[threadIdx.x] = i + 1 < n1 ? a * x[i] + z[i].x + M_PI * ITEMS_ * W : 0;
  __syncthreads();
  if (i + 1 < n1) { out[i] = part[threadIdx.x]; seen[i] = times > 0; }
}
"""
TEXT = KERNEL.replace("SIGNATURE", SIGNATURE)
SOURCE = """\
#include <stdint.h>
struct float2 { float x, y; };
struct double2 { double x, y; };
"""


def draft_text(code=TEXT, step=STEP, **header):
    parts = {
        "plan": {"steps": [step]},
        "parameters": {"ITEMS": [2, 4], "BLOCK": {"pow2": [64, 1024]}},
        "flags": {"--gpu-architecture": "sm_90"},
        **header,
    }
    return f"// outpace: {json.dumps(parts)}\n{code}"


def read(text):
    return parse_draft(text, CUDA, Provenance("user"))


# --- Reading ------------------------------------------------------------------------------------


def test_a_draft_file_is_found_by_its_suffix(tmp_path):
    path = tmp_path / "scale.cu"
    path.write_text(draft_text(), encoding="utf-8")
    draft = read_draft(path, language_of(path))
    assert language_named("cuda") is language_of(path)
    assert draft.language == "cuda"
    assert draft.provenance.idea == "scale"
    assert [p.name for p in draft.parameters] == ["ITEMS", "BLOCK"]


def test_the_plan_is_part_of_the_draft_and_of_its_hash():
    draft = read(draft_text())
    plan, code = split_plan(draft.source)
    assert plan == parse_plan({"steps": [STEP]})
    assert code == TEXT
    wider = read(draft_text(step={**STEP, "grid": ["ceildiv(n, 2 * BLOCK)"]}))
    assert wider.hash != draft.hash


@pytest.mark.parametrize("flags", [{}, {"--use_fast_math": True}])
@pytest.mark.parametrize("parameters", [{}, {"ITEMS": [2], "BLOCK": [64]}])
def test_a_draft_is_read_back_as_it_was_written(flags, parameters):
    draft = read(draft_text(flags=flags, parameters=parameters))
    text = render_draft(draft, CUDA)
    assert read(text) == draft
    assert text.partition("\n")[2] == TEXT  # lines keep their numbers
    variant = Variant(draft, {name: values[0] for name, values in parameters.items()})
    assert read(CUDA.bind(variant)).hash == draft.hash


@pytest.mark.parametrize("first", ["", "// plan: {", '// plan:  {"steps": []}', "// plan: []"])
def test_a_draft_with_a_plan_that_is_none_is_still_read_back(first):
    draft = Draft("cuda", f"{first}\n{TEXT}", (Parameter("ITEMS", (1, 2)),))
    assert read(render_draft(draft, CUDA)).hash == draft.hash


def test_a_malformed_plan_is_refused_with_the_place():
    with pytest.raises(DraftError, match=r"^the launch plan: steps\[0\]: 'block' is missing"):
        read(draft_text(step={"launch": "scale", "grid": [1]}))


def test_other_languages_have_no_plan():
    text = '// outpace: {"plan": {"steps": []}}\nvoid kernel(void) {}\n'
    with pytest.raises(DraftError, match="drafts in c have no plan"):
        parse_draft(text, language_named("c"), Provenance("user"))


def build_text(text, folder):
    draft = read(text)
    params = {p.name: p.values[0] for p in draft.parameters}
    path = folder / "draft.cu"
    path.write_text(CUDA.bind(Variant(draft, params)), encoding="utf-8")
    CUDA.build(path, CONTRACT, folder / "build")
    return CUDA.report(path, CONTRACT, folder / "build")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT, "needs a launch plan"),
        (draft_text(step={**STEP, "grid": ["m"]}), "'m' uses 'm', which is no integer known here"),
        (draft_text(flags={"-include": True}), "the flag '-include': True is not taken"),
        (draft_text(flags={"--fmad": 1}), "the flag '--fmad': 1 is not taken"),
        (draft_text(flags={"--maxrregcount": 8}), "the flag '--maxrregcount': 8 is not taken"),
        (draft_text(flags={"--gpu-architecture": "sm_12"}), "the GPU 'sm_12' is not one of sm_70"),
        (draft_text(flags={"--gpu-architecture": "sm_90 -I/"}), "the GPU 'sm_90 -I/' is not one"),
    ],
)
def test_what_cannot_be_built_is_said_before_anything_is_compiled(text, message, tmp_path):
    with pytest.raises(InvalidDraft, match=message):
        build_text(text, tmp_path)


# --- What kernels take --------------------------------------------------------------------------


def refusal(arguments, signature):
    """What a compiler for the CPU says of a kernel with this signature, or None."""
    plan = parse_plan({"steps": [{**STEP, "launch": "scale", "arguments": arguments}]})
    checks = launch_checks(plan, CONTRACT, {"BLOCK": 64})
    done = subprocess.run(
        ["g++", "-std=c++17", "-fsyntax-only", "-x", "c++", "-"],
        input=f"{SOURCE}void scale({signature});\n{checks}",
        text=True,
        capture_output=True,
        check=False,
    )
    return done.stderr if done.returncode else None


@pytest.mark.parametrize(
    ("arguments", "signature"),
    [
        (ARGUMENTS, SIGNATURE.replace(" n1", "")),
        (["x", "z"], "const double *__restrict__ x, const float *interleaved"),
        (["x", "seen"], "double2 *pairs, bool *seen"),
        (["times", "n", "2"], "long long, unsigned, size_t"),
        ([], ""),
    ],
)
def test_a_kernel_may_take_what_has_the_same_layout(arguments, signature):
    assert refusal(arguments, signature.replace("size_t", "unsigned long")) is None


@pytest.mark.parametrize(
    ("arguments", "signature", "message"),
    [
        (["x"], "const double *, int", "the plan passes 1 arguments, scale takes another number"),
        (["x", "n"], "const double *", "the plan passes 2 arguments, scale takes another number"),
        (["x"], "const float *", "arguments[0]: the plan passes x, an array of double"),
        (["x"], "double", "arguments[0]: the plan passes x, an array of double"),
        (["z"], "double *", "arguments[0]: the plan passes z, an array of float2"),
        (["n"], "double", "arguments[0]: the plan passes n, an integer of 64 bits"),
        (["n"], "const double *", "arguments[0]: the plan passes n, an integer of 64 bits"),
        (["a"], "double", "arguments[0]: the plan passes a, float, scale takes another type"),
        (["times", "a"], "int64_t, int", "arguments[1]: the plan passes a, float"),
    ],
)
def test_a_kernel_that_takes_something_else_is_refused_where(arguments, signature, message):
    assert f"steps[0].{message}".replace(".the", ": the") in refusal(arguments, signature)


@pytest.mark.parametrize(
    "word", ["static_assert(...)", "decltype(...) O", "sizeof 1 +", "float2 x"]
)
def test_macros_of_a_draft_do_not_reach_the_checks(word):
    end = f"double, int);\n#define {word}\nvoid other("
    assert "takes another number" in refusal(["x"], end)


# --- What the assembler says --------------------------------------------------------------------

LOG = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z5scaleILi2EE' for 'sm_90'
ptxas info    : Function properties for _Z5scaleILi2EE
ptxas         .     48 bytes stack frame, 44 bytes spill stores, 40 bytes spill loads
ptxas info    : Used 80 registers, used 1 barriers, 48 bytes cumulative stack size, 2048 bytes smem
ptxas info    : Compiling entry function 'plain' for 'sm_90'
ptxas info    : Used 8 registers, used 0 barriers
"""
SCALE = KernelUse("scale<ITEMS, 4>", "_Z5scaleILi2EE", 80, 2048, 48, (44, 40))


def test_registers_shared_memory_and_spills_are_read_from_the_log():
    found = kernels_used(
        {"scale<ITEMS, 4>": "_Z5scaleILi2EE", "plain": "plain"}, LOG, {"plain": 96}
    )
    assert found == (SCALE, KernelUse("plain", "plain", 8, most_threads=96))


def test_a_name_that_is_no_kernel_is_said():
    with pytest.raises(InvalidDraft, match="helper is no kernel; declare it `__global__ void`"):
        kernels_used({"helper": "helper"}, LOG, {})


def used(architecture, *, block, kernel=SCALE, shared="8 * BLOCK"):
    plan = parse_plan({"steps": [{**STEP, "shared": shared}, {**STEP, "shared": shared}]})
    params = {"BLOCK": block, "ITEMS": 2}
    return launches_used([kernel], ARCHITECTURES[architecture], plan, params, CONTRACT)


def test_a_block_larger_than_the_kernel_declares_fails_the_build():
    kernel = KernelUse("scale<ITEMS, 4>", "_Z5scaleILi2EE", 16, most_threads=128)
    assert used("sm_90", block=128, kernel=kernel)
    with pytest.raises(BuildError, match=r"blocks of 256 threads; .*__launch_bounds__\(128\)"):
        used("sm_90", block=256, kernel=kernel)


def test_every_different_launch_has_an_occupancy():
    (launch,) = used("sm_90", block=256)
    assert (launch.grid, launch.block, launch.shared) == ((4, 1, 1), (256, 1, 1), 4096)
    assert (launch.blocks, launch.occupancy, launch.limit) == (3, 0.375, "registers")


@pytest.mark.parametrize(
    ("architecture", "block", "shared", "message"),
    [
        (
            "sm_90",
            1024,
            "0",
            r"at small \(n=1000, times=2\) needs 80 registers for each of 1024 threads, 81920 in",
        ),
        (
            "sm_86",
            256,
            "100 * 1024",
            r"needs 104448 bytes of shared memory \(2048 static, 102400 dynamic\); sm_86 has 10",
        ),
    ],
)
def test_a_launch_that_does_not_fit_fails_the_build_with_the_numbers(
    architecture, block, shared, message
):
    with pytest.raises(BuildError, match=message):
        used(architecture, block=block, shared=shared)


# --- With NVRTC ---------------------------------------------------------------------------------

needs_nvrtc = pytest.mark.skipif(
    CUDA.cannot_compile() is not None, reason=str(CUDA.cannot_compile())
)


@needs_nvrtc
@pytest.mark.parametrize("architecture", ["sm_75", "sm_90", "sm_120"])
def test_a_draft_is_compiled_for_a_gpu_that_is_not_here(architecture, tmp_path):
    report = build_text(draft_text(flags={"--gpu-architecture": architecture}), tmp_path)
    assert report.architecture == architecture
    (kernel,) = report.kernels
    assert kernel.kernel == "scale<ITEMS, 4>"
    assert 8 <= kernel.registers <= 64
    assert kernel.spilled == (0, 0)
    assert report.launches[0].shared == 512
    assert "no spills" in report.lines[0]
    cubins = [*(tmp_path / "build").glob("*.cubin")]
    assert [path.read_bytes()[:4] for path in cubins] == [b"\x7fELF"]


@needs_nvrtc
def test_every_header_can_be_included_beside_nvidias_own(tmp_path):
    every = "".join(f"#include <{name}>\n" for name in device_headers(""))
    nvidia = "#include <cuda_fp16.h>\n#include <cuda/std/cstdint>\n#include <cuda/std/climits>\n"
    limits = 'static_assert(INT64_MAX > INT_MAX && DBL_MAX > FLT_MAX, "");\n'
    build_text(draft_text(f"{every}{nvidia}{every}{limits}{TEXT}"), tmp_path)


@needs_nvrtc
def test_parameters_win_over_the_drafts_own_definitions(tmp_path):
    own = f'#define BLOCK 7\n{TEXT}static_assert(BLOCK == 64 && ITEMS == 2, "");\n'
    assert build_text(draft_text(own), tmp_path).launches[0].block == (64, 1, 1)


@needs_nvrtc
def test_parameters_may_have_the_names_that_templates_like(tmp_path):
    names = [
        "A",
        "B",
        "T",
        "E",
        "I",
        "N",
        "P",
        "count",
        "value",
        "type",
        "memory",
        "kernel",
        "same",
    ]
    likely = {name: [2] for name in names}
    parameters = {"ITEMS": [2], "BLOCK": [64], **likely}
    build_text(draft_text(parameters=parameters), tmp_path)


@needs_nvrtc
def test_flags_reach_the_compiler(tmp_path):
    code = TEXT.replace("a * x[i]", "exp(a * x[i]) * log(x[i]) * sin(a * x[i])")
    flags = {"--gpu-architecture": "sm_90", "--maxrregcount": 24, "--fmad": False}
    report = build_text(draft_text(code, flags=flags), tmp_path)
    free = build_text(draft_text(code), tmp_path)
    assert report.kernels[0].registers == 24 < free.kernels[0].registers


@needs_nvrtc
@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (TEXT.replace("* x[i]", "* y[i]"), BuildError, r'draft.cu\(8\): error: identifier "y"'),
        (TEXT.replace("float a", "double a"), InvalidDraft, r"steps\[0\].arguments\[5\]: the plan"),
        (TEXT.replace("scale", "other"), BuildError, 'error: identifier "scale" is undefined'),
        (TEXT.replace("__global__", "__device__"), BuildError, "__global__"),
        (TEXT + "__device__ double big[1]; int main() { return 0; }", BuildError, "main|host"),
    ],
)
def test_what_nvrtc_refuses_comes_back_with_line_and_reason(code, error, message, tmp_path):
    with pytest.raises(error, match=message):
        build_text(draft_text(code), tmp_path)


@needs_nvrtc
def test_launch_bounds_are_read_from_the_cubin(tmp_path):
    bounded = TEXT.replace("__global__ void", "__global__ void __launch_bounds__(BLOCK / 2 + 32)")
    report = build_text(draft_text(bounded, parameters={"ITEMS": [2], "BLOCK": [64]}), tmp_path)
    assert report.kernels[0].most_threads == 64
    with pytest.raises(BuildError, match=r"blocks of 128 threads; .*__launch_bounds__\(96\)"):
        build_text(draft_text(bounded, parameters={"ITEMS": [2], "BLOCK": [128]}), tmp_path)


@needs_nvrtc
def test_a_damaged_build_is_not_loaded(tmp_path):
    build_text(draft_text(), tmp_path)
    (cubin,) = (tmp_path / "build").glob("*.cubin")
    cubin.write_bytes(cubin.read_bytes()[:-1] + b"!")
    with pytest.raises(BuildError, match="there is no intact build"):
        CUDA.report(tmp_path / "draft.cu", CONTRACT, tmp_path / "build")
