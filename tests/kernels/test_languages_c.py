"""What is particular to C: flags, the compiler, its builds, and the caller's floating point."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float64

from outpace.codegen.c_options import FLAGS
from outpace.codegen.contract import build_contract
from outpace.codegen.dims import shape_of
from outpace.errors import EnvironmentError_
from outpace.kernels import promotions, target
from outpace.kernels.builds import load_promoted
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import BuildError, InvalidDraft, parse_draft
from outpace.kernels.languages.compilers import find_compiler
from outpace.model import Draft, Provenance, Variant

C = language_named("c")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "drafts.md"
HEAD = "void kernel(int64_t n, const double *restrict u, double *restrict out)"

Vector = Float64[np.ndarray, "n"]


def _plain(u: Vector) -> Vector:
    """A reference."""


PLAIN = build_contract(_plain, workloads={"w": {"n": 3}})


@pytest.fixture(autouse=True)
def _compiler_needed(request):
    if "without" not in request.node.name and C.unavailable():
        pytest.skip(C.unavailable())


@pytest.fixture
def load(tmp_path):
    """Build and load a kernel over one vector."""

    def loader(body, flags=None, params=None, before=""):
        draft = Draft("c", f"{before}\n{HEAD}\n{{\n{body}\n}}\n", flags=flags or {})
        path = tmp_path / "draft.c"
        path.write_text(C.bind(Variant(draft, params or {})))
        C.build(path, PLAIN, tmp_path / "build")
        return C.load(path, PLAIN, tmp_path / "build")

    return loader


def result(kernel, u=(0.0, 0.0, 0.0)):
    out = np.empty(len(u))
    kernel(np.array(u), out)
    return out.tolist()


# --- Sources ------------------------------------------------------------------------------------


def test_the_example_of_the_documentation():
    text = DOCS.read_text()
    reference, source = (
        re.search(rf"```{lexer}\n((?:@outpace|// outpace).*?)```", text, re.DOTALL).group(1)
        for lexer in ("python", "c")
    )
    namespace = {"np": np, "Float64": Float64}
    exec(reference.partition("\n")[2], namespace)
    smooth = namespace["smooth"]
    sizes = {"rows": 5, "n": 7, "width": 2}
    contract = build_contract(smooth, workloads={"w": sizes}, mutates=("total",))
    draft = parse_draft(source, C, Provenance("user"))
    u, total = np.random.default_rng(0).normal(size=(5, 9)), np.arange(5.0)
    wanted = total.copy()
    means, everything = smooth(u, 2, wanted)
    for chunk in draft.parameters[0].values:
        kernel = load_promoted(Variant(draft, {"CHUNK": chunk}), contract)
        found, out0, out1 = total.copy(), np.empty((5, 7)), np.empty(1)
        kernel(u, 2, found, out0, out1)
        np.testing.assert_allclose(out0, means, rtol=1e-14)
        np.testing.assert_allclose(found, wanted, rtol=1e-14)
        np.testing.assert_allclose(out1[0], everything, rtol=1e-14)


def test_text_becomes_tokens_and_numbers_keep_their_value(load):
    params = {"KIND": "float", "LEAST": -(2**63), "MOST": 2**63 - 1, "TINY": 5e-324}
    body = "out[0] = (KIND)u[0]; out[1] = MOST + LEAST; out[2] = 2*TINY;"
    found = result(load(body, params=params), (0.1, 0, 0))
    assert found == [float(np.float32(0.1)), -1.0, 1e-323]


def test_what_c17_alone_hides_is_there(load):
    before = "#define _GNU_SOURCE\n#include <math.h>"
    assert result(load("out[0] = M_PI; out[1] = sin(1.0);", before=before))[:2] == [
        np.pi,
        pytest.approx(np.sin(1.0), rel=1e-15),
    ]


@pytest.mark.parametrize("has_header", [False, True])
def test_an_error_comes_first_and_names_the_line_of_the_file(tmp_path, has_header):
    path = tmp_path / "draft.c"
    header = '// outpace: {"flags": {"-O2": true}}\n' * has_header
    path.write_text(f"{header}int unused;\n{HEAD}\n{{\n    out[0] = missing;\n}}\n")
    with pytest.raises(BuildError, match=rf"\Adraft\.c:{4 + has_header}:14: error: 'missing'"):
        C.build(path, PLAIN, tmp_path)


def test_a_wrong_signature_is_told_the_right_one(tmp_path):
    path = tmp_path / "draft.c"
    path.write_text("void kernel(float *u) {}\n")
    with pytest.raises(InvalidDraft) as caught:
        C.build(path, PLAIN, tmp_path)
    assert str(caught.value).startswith(f"the draft must define `{HEAD}`; draft.c:1:6: error:")


def _affine(
    a: Float64[np.ndarray, "3*n+2*k p"],
    k: int,
    b: Float64[np.ndarray, "q-n+p 5-k+2*k"],
    c: Float64[np.ndarray, "n"],
) -> Float64[np.ndarray, "4"]:
    """A reference with dims that take each other to be solved."""


AFFINE = build_contract(_affine, workloads={"w": {"n": 1, "p": 1, "q": 1, "k": 1}})


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """A kernel that returns the dims that it is given."""
    folder = tmp_path_factory.mktemp("affine")
    (folder / "draft.c").write_text(
        "void kernel(int64_t n, int64_t p, int64_t q, const double *a, int64_t k, const double *b,"
        " const double *c, double *out) { out[0] = n; out[1] = p; out[2] = q; out[3] = k; }\n"
    )
    C.build(folder / "draft.c", AFFINE, folder)
    return C.load(folder / "draft.c", AFFINE, folder)


@settings(max_examples=60)
@given(st.tuples(*[st.integers(0, 9)] * 4))
def test_dims_are_solved_from_the_shapes(solved, values):
    n, p, q, k = values
    q += n  # or an extent were negative
    sizes = {"n": n, "p": p, "q": q, "k": k}
    a, b, c = (np.zeros(shape_of(x.dims, sizes)) for x in AFFINE.arguments if x.is_array)
    out = np.empty(4)
    solved(a, k, b, c, out)
    assert out.tolist() == [n, p, q, k]


# --- Flags --------------------------------------------------------------------------------------

FAST_MATH = "#ifdef __FAST_MATH__\n    out[0] = 1;\n#else\n    out[0] = 0;\n#endif\n"


def test_flags_reach_the_compiler(load):
    for flags, expected in (({}, 0), ({"-ffast-math": True}, 1), ({"-ffast-math": False}, 0)):
        assert result(load(FAST_MATH, flags))[0] == expected


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("-I/etc", True),
        ("-include", True),
        ("@options", True),
        ("-fplugin=evil.so", True),
        ("-wrapper", "sh"),
        ("-B.", True),
        ("-O2 -I/etc", True),
        ("fastmath", True),
        ("-O2", 1),
        ("-O2", "-I/etc"),
    ],
)
def test_other_flags_are_refused(load, flag, value):
    with pytest.raises(InvalidDraft, match=f"the flag {flag!r}: .* among -O1, -O2"):
        load("out[0] = 0;", {flag: value})


def test_every_flag_compiles(tmp_path):
    path = tmp_path / "draft.c"
    native = {flag: True for flag in FLAGS if not flag.startswith("-m")}
    path.write_text(C.bind(Variant(Draft("c", f"{HEAD} {{ out[0] = u[0]; }}\n", flags=native))))
    C.build(path, PLAIN, tmp_path)
    assert result(C.load(path, PLAIN, tmp_path), (3.0,)) == [3.0]


# --- The caller's floating point ----------------------------------------------------------------

CHANGE = """
#include <fenv.h>
static inline void change(void)
{
    fesetround(FE_UPWARD);
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);  /* flush subnormals to zero */
#endif
}
"""


def arithmetic():
    """Shows the rounding mode, in both units of x86, and what becomes of subnormals."""
    one, tiny = np.ones(1), np.full(1, 1e-310)
    wide = one.astype(np.longdouble)
    return [(one / 3)[0], (-one / 3)[0], (wide / 3)[0], (tiny / 2)[0]]


BEFORE = arithmetic()


def test_loading_what_is_built_for_fast_math_leaves_subnormals(load):
    kernel = load("#pragma omp parallel for\n for (int64_t i = 0; i < n; i++) out[i] = u[i] / 2;",
                  {"-ffast-math": True, "-funsafe-math-optimizations": True})  # fmt: skip
    assert arithmetic() == BEFORE
    assert result(kernel, (1e-310, 2.0)) == [5e-311, 1.0]
    assert arithmetic() == BEFORE


def test_loading_a_library_that_changes_it_leaves_it(load):
    load("out[0] = 0;", before=CHANGE + "__attribute__((constructor)) void f(void) { change(); }")
    assert arithmetic() == BEFORE


def test_a_call_that_changes_it_leaves_it(load):
    kernel = load("change(); volatile double a = 1, b = 3; out[0] = a / b;", before=CHANGE)
    assert result(kernel)[0] > 1 / 3  # it was changed inside
    assert arithmetic() == BEFORE


# --- Builds -------------------------------------------------------------------------------------


def builds(folder):
    return sorted(Path(folder).rglob("*.so"))


def test_loading_builds_nothing(load, tmp_path):
    load("out[0] = 1;")
    (build,) = builds(tmp_path)
    build.unlink()
    with pytest.raises(BuildError, match="there is no intact build in"):
        C.load(tmp_path / "draft.c", PLAIN, tmp_path / "build")
    assert list((tmp_path / "build").iterdir()) == []


def test_without_a_compiler_the_language_is_off(monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no C compiler; install gcc or clang" in C.unavailable()
    with pytest.raises(EnvironmentError_, match="there is no C compiler"):
        load_promoted(Variant(Draft("c", "")), PLAIN)
    monkeypatch.setenv("CC", "no-such-cc -O3")
    assert "CC names 'no-such-cc -O3', which is not there" in C.unavailable()
    monkeypatch.setenv("CC", "'")
    assert "is no command" in C.unavailable()


def test_without_a_compiler_that_works_the_language_is_off(monkeypatch):
    monkeypatch.setenv("CC", "/bin/false")
    assert "/bin/false cannot compile C17 with OpenMP" in C.unavailable()


def test_the_compiler_is_recorded_with_the_target():
    assert target.current_target().versions["cc"] == find_compiler().version
    assert target.toolchain("c") == ("cc",)


# --- Serving ------------------------------------------------------------------------------------

SERVED = """
@outpace.optimize(workloads={"w": {"n": 1000}})
def scaled(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return u * 2
"""
THREADED = (
    f"{HEAD} {{\n    #pragma omp parallel for\n"
    "    for (int64_t i = 0; i < n; i++) out[i] = u[i] * 3;\n}\n"
)


def test_a_promotion_is_served_and_a_forked_child_runs_the_reference(module, promote):
    promote.compiled()
    scaled = module(SERVED).scaled
    variant = Variant(Draft("c", THREADED))
    path = promotions.write(promote.make(scaled, "", variant=variant), scaled.reference)
    assert (path / "draft.c").read_text() == THREADED
    u = np.ones(1000)
    assert (scaled(u) == 3).all()  # so that one can tell which of the two ran
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, f"{scaled(u)[0]} {scaled.explain(u)}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answers:
        said = answers.read()
    assert os.waitpid(child, 0)[1] == 0
    assert said.startswith("2.0 reference: ")
    assert "forked from one that had run a threaded kernel" in said
