"""Local kernels: serial variants as modules that stand in programs, C among them."""

import re
import sys
import types

import mpi_references
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Bool, Complex64, Complex128, Float32, Float64, Int32

import outpace
from outpace.codegen.mpi.drafts import mpi_drafts
from outpace.codegen.mpi.embedded import OPTIONS, SOURCE, embedded_c
from outpace.codegen.mpi.local import (
    c_kernel,
    default_kernel,
    has_compiler,
    kernel_of,
)
from outpace.codegen.mpi.local_c import c_module
from outpace.codegen.mpi.templates import compiled as template
from outpace.codegen.mpi.templates.calling import with_exchange
from outpace.codegen.mpi.templates.exchange import lies_together
from outpace.errors import DraftError
from outpace.kernels.languages.base import BuildError, InvalidDraft
from outpace.kernels.languages.mpi import MPI
from outpace.model import Draft, Parameter, Provenance, Status, Variant
from outpace.tuner.mpi.judge import MpiJudge

HEAT = mpi_references.heat.reference
WRITER = Provenance("user")
needs_compiler = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")


def kernel_in(text, folder):
    """`kernel` of a module, compiled into a folder."""
    module = types.ModuleType("local")
    module.BUILDS = str(folder)
    exec(compile(text, "<local>", "exec"), module.__dict__)
    return module.kernel


def variant(language, source, flags=None, **params):
    parameters = tuple(Parameter(n, v if isinstance(v, tuple) else (v,)) for n, v in params.items())
    draft = Draft(language, source, parameters, (), flags or {}, WRITER)
    return Variant(draft, {p.name: p.values[0] for p in parameters})


# --- Variants in Numba ----------------------------------------------------------------------------


def test_a_numba_variant_runs_on_one_thread():
    source = (
        "from __future__ import annotations\n"
        "import numba\n\n\n"
        "@numba.njit(parallel=True, fastmath=True)\n"
        "def kernel(u, r, steps, out):\n    out[:] = u * SCALE\n"
    )
    text = kernel_of(variant("numba", source, SCALE=3), HEAT)
    assert "numba.njit(parallel=False, fastmath=True)" in text
    assert "\nSCALE = 3\n" in text
    assert "__future__" not in text


def test_what_is_no_python_is_said():
    with pytest.raises(DraftError, match="the local kernel is no Python: "):
        kernel_of(variant("numba", "def kernel(:\n"), HEAT)


@pytest.mark.parametrize("language", ["cuda", "mpi"])
def test_other_languages_cannot_go_into_a_program(language):
    with pytest.raises(DraftError, match=f"a kernel in {language} cannot go into an MPI program"):
        kernel_of(variant(language, ""), HEAT)


# --- Variants in C --------------------------------------------------------------------------------


@needs_compiler
def test_a_c_variant_runs_with_its_parameters_and_without_threads(tmp_path):
    source = (
        "#define TILE 1\n"
        "void kernel(int64_t y, int64_t x, const double *restrict u, double r, int64_t steps,\n"
        "            double *restrict out)\n"
        "{\n    for (int64_t i = 0; i < y * x; i++)\n"
        "        out[i] = r * u[i] + 10 * TILE + PARALLEL + steps;\n}\n"
    )
    one = variant("c", source, {"-O2": True}, TILE=7, PARALLEL=(1, 0))
    assert one.params["PARALLEL"] == 1
    text = kernel_of(one, HEAT)
    u = np.arange(12.0).reshape(3, 4)
    out = np.empty_like(u)
    kernel_in(text, tmp_path)(u, 0.5, 2, out)
    np.testing.assert_array_equal(out, 0.5 * u + 72)
    assert embedded_c(text).options[-1] == "-O2"


def test_flags_that_name_a_file_are_refused():
    with pytest.raises(DraftError, match="the flag '-fplugin=x': True is not taken"):
        kernel_of(variant("c", "", {"-fplugin=x": True}), HEAT)


@outpace.optimize(workloads={"a": {"n": 4, "m": 3}}, mutates=("seen",))
def mixed(
    table: Float32[np.ndarray, "2*n+1 m"],
    mask: Bool[np.ndarray, "m"],
    phase: complex,
    seen: Int32[np.ndarray, "n"],
    flip: bool,
    field: Complex64[np.ndarray, "n"],
) -> tuple[Complex128[np.ndarray, "n m"], Float64[np.ndarray, "n"]]:
    raise NotImplementedError


@needs_compiler
@pytest.mark.parametrize("n", [0, 1, 5])
def test_all_types_reach_c_and_come_back(n, tmp_path):
    source = (
        "#include <complex.h>\n"
        "void kernel(int64_t n, int64_t m, const float *restrict table,\n"
        "            const uint8_t *restrict mask, double _Complex phase,\n"
        "            int32_t *restrict seen, uint8_t flip, const float _Complex *restrict field,\n"
        "            double _Complex *restrict out0, double *restrict out1)\n"
        "{\n"
        "    for (int64_t i = 0; i < n; i++) {\n"
        "        seen[i] += flip;\n"
        "        out1[i] = creal(phase) + table[(2 * i + 1) * m];\n"
        "        for (int64_t j = 0; j < m; j++)\n"
        "            out0[i * m + j] = mask[j] ? phase * field[i] : 0;\n"
        "    }\n"
        "}\n"
    )
    rng = np.random.default_rng(1)
    table = rng.uniform(size=(2 * n + 1, 3)).astype(np.float32)
    mask, seen = np.array([True, False, True]), np.arange(n, dtype=np.int32)
    field = (rng.uniform(size=n) + 1j).astype(np.complex64)
    out0, out1 = np.empty((n, 3), complex), np.empty(n)
    kernel = kernel_in(c_module(mixed.reference.contract, source, {}, {}), tmp_path)
    kernel(table, mask, 2 - 3j, seen, True, field, out0, out1)
    np.testing.assert_array_equal(seen, np.arange(n) + 1)
    np.testing.assert_array_equal(out1, 2 + table[1::2, 0].astype(float))
    np.testing.assert_allclose(out0, (2 - 3j) * field[:, None] * mask, rtol=1e-6)


@needs_compiler
def test_arrays_that_c_could_not_read_are_refused(tmp_path):
    kernel = kernel_in(c_kernel(HEAT), tmp_path)
    u = np.ones((4, 8))
    with pytest.raises(Exception, match="C_CONTIGUOUS"):
        kernel(u[:, ::2], 0.1, 1, np.empty((4, 4)))
    with pytest.raises(Exception, match="float64"):
        kernel(u.astype(np.float32), 0.1, 1, u)


@needs_compiler
def test_scratch_memory_that_is_kept_changes_nothing(tmp_path):
    kernel = kernel_in(c_kernel(HEAT), tmp_path)
    for shape in [(9, 7), (4, 5), (9, 7), (30, 3), (4, 5)]:
        u = np.random.default_rng(shape[0]).uniform(size=shape)
        out = np.empty(shape)
        kernel(u, 0.1, 5, out)
        np.testing.assert_allclose(out, HEAT.fn(u, 0.1, 5), rtol=1e-13)


def test_an_error_in_an_exchange_waits_until_the_kernel_is_back():
    seen = []

    def exchange(array):
        seen.append(array.shape)
        raise ValueError(array.shape)

    def run(exchanged):
        memory = np.zeros((4, 3))
        exchanged(memory.ctypes.data, 24)
        exchanged(memory.ctypes.data, 24)
        seen.append("back")

    with pytest.raises(ValueError, match="24"):
        with_exchange(exchange, 4, run)
    assert seen == [(4, 24), "back"]


def test_kernels_for_a_ring_are_in_the_language_of_the_kernel_and_strict_first():
    reference = mpi_references.bodies.reference
    drafts = mpi_drafts(reference, c_kernel(HEAT), 2)
    assert [d.provenance.idea for d in drafts] == [
        "ring, cut along n",
        "ring, cut along n, fastmath",
    ]
    assert ["-fassociative-math" in d.source for d in drafts] == [False, True]
    assert all("exchange_rows(&" in embedded_c(d.source).source for d in drafts)


def test_quotes_in_c_text_stay_what_they_are():
    contract = HEAT.contract
    for text in ('char *a = "\\n" """x""";', "'''", "\"\"\" '''", "back\\slash\\"):
        module = c_module(contract, f"/* {text} */\n", {}, {})
        assert f"/* {text} */" in embedded_c(module).source


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=4),
    st.data(),
)
def test_only_cells_that_lie_together_are_sent_from_where_they_are(extents, data):
    shape = [size + more for size, more in extents]
    starts = [data.draw(st.integers(0, more)) for _, more in extents]
    box = tuple((a, a + size) for a, (size, _) in zip(starts, extents, strict=True))
    corner = tuple((0, size) for size in shape)
    cells = np.zeros(shape)[tuple(slice(a, b) for a, b in box)]
    assert lies_together(box, corner) == cells.flags.c_contiguous


# --- Compiling ------------------------------------------------------------------------------------


def program(text):
    return mpi_drafts(HEAT, text, 2)[0].source


@needs_compiler
def test_a_c_program_is_built_without_being_run_and_loads_from_there(tmp_path, monkeypatch):
    file = tmp_path / "draft.py"
    file.write_text(program(c_kernel(HEAT)) + "\nimport sys\nsys.modules['ran'] = sys\n")
    with pytest.raises(BuildError, match="build it first"):
        MPI.load(file, HEAT.contract, tmp_path / "build")
    MPI.build(file, HEAT.contract, tmp_path / "build")
    assert "ran" not in sys.modules
    assert len(list((tmp_path / "build").iterdir())) == 1
    monkeypatch.setenv("PATH", "")  # no compiler
    run = MPI.load(file, HEAT.contract, tmp_path / "build")
    assert sys.modules.pop("ran") is sys
    u = np.ones((4, 4))
    out = np.zeros((4, 4))
    run.__globals__["kernel"](u, 0.1, 2, out)
    np.testing.assert_array_equal(out, u)


@needs_compiler
def test_a_kernel_that_does_not_compile_is_one_clear_error(tmp_path):
    text = program(kernel_of(variant("c", "\nvoid kernel(int64_t y) { }\n"), HEAT))
    file = tmp_path / "draft.py"
    file.write_text(text)
    said = r"kernel\.c:2:\d+: error: conflicting types for .kernel."
    with pytest.raises(BuildError, match=said):
        MPI.build(file, HEAT.contract, tmp_path)
    with pytest.raises(RuntimeError, match=f"(?s)refuses the kernel:.*{said}"):
        kernel_in(text, tmp_path)


def test_without_a_compiler_there_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="the kernel is in C; put one of cc, gcc, clang on PATH"):
        template.compiled("", (), tmp_path)
    assert "numba.njit" in default_kernel(mpi_references.scaled.reference)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{SOURCE} = open('x').read()\n", f"{SOURCE} must be a literal"),
        (f"{SOURCE} = 3\n", f"{SOURCE} must be text"),
        (f"{SOURCE} = ''\n{OPTIONS} = ('-fplugin=x',)\n", f"{OPTIONS} holds '-fplugin=x'"),
    ],
)
def test_constants_that_hold_no_c_are_refused(text, message, tmp_path):
    file = tmp_path / "draft.py"
    file.write_text(text)
    with pytest.raises(InvalidDraft, match=re.escape(message)):
        MPI.build(file, HEAT.contract, tmp_path)


# --- Judging --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judge():
    return MpiJudge(mpi_references.maxwell.reference, ranks=(1, 2, 3))


@needs_compiler
def test_a_program_with_a_kernel_in_c_is_judged(judge):
    reference = mpi_references.maxwell.reference
    trial = judge.judge(mpi_drafts(reference, c_kernel(reference), 3)[0])
    assert trial.status is Status.CHECKED, trial.reason + trial.details


@needs_compiler
@pytest.mark.parametrize(
    ("source", "status", "said"),
    [
        ("void kernel(int64_t x) { }\n", Status.BUILD_FAILED, "conflicting types"),
        (
            "void kernel(int64_t x, double *e, double *h, int64_t steps) { h[0] += 1; }\n",
            Status.WRONG,
            "",
        ),
    ],
)
def test_a_bad_kernel_in_c_is_no_pass(judge, source, status, said):
    reference = mpi_references.maxwell.reference
    draft = mpi_drafts(reference, kernel_of(variant("c", source), reference), 3)[0]
    trial = judge.judge(draft, simulated_only=True)
    assert trial.status is status, trial.reason
    assert said in trial.reason + trial.details
