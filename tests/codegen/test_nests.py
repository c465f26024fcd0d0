"""Lifted programs mean what NumPy means; their text is pinned by golden files."""

from __future__ import annotations

import ast
import copy
import importlib.util
import itertools
import random
import sys
import textwrap
import types
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outpace.codegen.abi import as_results, bind_sizes, output_shapes
from outpace.codegen.distributions import Uniform
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.numba.emit import NumbaOptions, numba_source
from outpace.codegen.nests.printer import program_text
from outpace.codegen.nests.rewriting.fuse import fused
from outpace.codegen.nests.rewriting.hoist import hoisted
from outpace.codegen.nests.rewriting.inline import inlined
from outpace.codegen.nests.rewriting.pingpong import ping_ponged
from outpace.codegen.nests.rewriting.reuse import reused
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import NotLifted
from outpace.kernels.library import aerospace, astro, climate, genomics, linalg, medical, quantum

LIBRARY = {
    "hdiff": climate.hdiff,
    "heat_3d": climate.heat_3d,
    "smith_waterman": genomics.smith_waterman,
    "cavity_flow": aerospace.cavity_flow,
    "jacobi_2d": aerospace.jacobi_2d,
    "backproject": medical.backproject,
    "apply_gate": quantum.apply_gate,
    "nbody": astro.nbody,
    "softmax": linalg.softmax,
    "conv2d": linalg.conv2d,
}
SIZES = (0, 1, 2, 3, 4, 5, 7)
_NUMBER = itertools.count()


def reference_of(text: str, folder: Any, **options: Any) -> Reference:
    """A reference from source text, in a file so that its source can be read."""
    name = f"drawn_{next(_NUMBER)}"
    path = folder / f"{name}.py"
    path.write_text(
        "import numpy as np\nfrom jaxtyping import Bool, Complex128, Float32, Float64, Int32, "
        "Int64\n\n\n" + textwrap.dedent(text)
    )
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        options.setdefault("workloads", {"small": {"n": 5, "m": 4}})
        reference = Reference(module.f, ReferenceOptions(**options))
        assert reference.contract
        assert reference.closure
    finally:
        del sys.modules[name]
    return reference


def forms(reference: Reference) -> dict[str, Any]:
    """The program after each sequence of passes that the drafter uses."""
    program = lift(reference)
    ping = ping_ponged(program)
    return {
        "lifted": program,
        "fused": hoisted(reused(fused(ping))),
        "recomputed": hoisted(reused(fused(inlined(ping)))),
    }


def interpreted(source: str) -> Any:
    """The kernel of a source, run by Python with Numba's decorators as identities."""
    fake = types.SimpleNamespace(prange=range, njit=_identity)
    tree = ast.parse(source)
    tree.body = [s for s in tree.body if ast.unparse(s) != "import numba"]
    names: dict[str, Any] = {"numba": fake}
    exec(compile(tree, "<draft>", "exec"), names)
    return names["kernel"]


def _identity(*args: Any, **_: Any) -> Any:
    return args[0] if args and callable(args[0]) else _identity


def compiled(source: str) -> Any:
    """The kernel of a source, compiled."""
    names: dict[str, Any] = {}
    exec(compile(source, "<draft>", "exec"), names)
    return names["kernel"]


def agrees(reference: Reference, kernel: Any, case: Case, rtol: float = 1e-12) -> bool:
    """Compare a kernel with the reference; False if the reference raises at this case."""
    inputs = draw_inputs(reference, case)
    expected_inputs = copy.deepcopy(inputs)
    with np.errstate(all="ignore"):
        try:
            returned = reference.fn(**expected_inputs)
        except (ValueError, IndexError, ZeroDivisionError):
            return False
        sizes = bind_sizes(reference.contract, inputs)
        expected = as_results(reference.contract, returned, sizes)
        shapes = output_shapes(reference.contract, sizes)
        outputs = [
            np.full(shape, 77, dtype=o.dtype)
            for o, shape in zip(reference.contract.outputs, shapes, strict=True)
        ]
        kernel(*inputs.values(), *outputs)
    for argument in reference.contract.arguments:
        if argument.is_array:
            expected.append(expected_inputs[argument.name])
            outputs.append(inputs[argument.name])
    for want, got in zip(expected, outputs, strict=True):
        tolerance = max(rtol, 2e-6) if want.dtype in (np.float32, np.complex64) else rtol
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    return True


def small_cases(reference: Reference, count: int) -> list[Case]:
    """Cases with extents of at most 7."""
    rng = random.Random(reference.name)
    names = reference.contract.workloads[0].sizes
    return [
        Case({name: rng.choice(SIZES) for name in names}, seed, "plain") for seed in range(count)
    ]


# --- The library --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LIBRARY)
def test_every_form_of_a_library_function_agrees_with_it(name):
    reference = LIBRARY[name].reference
    for program in forms(reference).values():
        for options in (NumbaOptions(), NumbaOptions(True, True, True)):
            kernel = interpreted(numba_source(program, options))
            cases = [c for c in small_cases(reference, 12) if _allowed(name, c)]
            assert sum(agrees(reference, kernel, c) for c in cases) >= 2


def _allowed(name: str, case: Case) -> bool:
    """Sizes at which the function is defined."""
    if name == "apply_gate":
        case.sizes["n"], case.sizes["target"] = 8, min(case.sizes["target"], 2)
    if name == "cavity_flow":
        return min(case.sizes["ny"], case.sizes["nx"]) >= 2
    return case.sizes.get("keys", 1) >= 1 and case.sizes.get("letters", 1) >= 1


@pytest.mark.parametrize("name", ["hdiff", "softmax", "jacobi_2d"])
def test_printed_program(name, golden):
    golden(
        f"{name}.nests.txt", program_text(reused(fused(ping_ponged(lift(LIBRARY[name].reference)))))
    )


@pytest.mark.parametrize("name", ["hdiff", "softmax", "smith_waterman"])
def test_emitted_source(name, golden):
    program = reused(fused(ping_ponged(lift(LIBRARY[name].reference))))
    golden(f"{name}.numba.txt", numba_source(program, NumbaOptions(True, True, True)))


def test_recomputing_leaves_one_nest_and_no_temporary():
    text = program_text(forms(climate.hdiff.reference)["recomputed"])
    assert "allocate" not in text
    assert text.count("nest ") == 1


def test_a_stencil_in_place_becomes_two_buffers():
    text = program_text(forms(climate.heat_3d.reference)["fused"])
    assert "rebind out_old, out_new = out_new, out_old" in text
    assert "copy" not in text


@pytest.mark.parametrize("name", ["softmax", "smith_waterman"])
def test_compiled_forms_agree(name):
    reference = LIBRARY[name].reference
    source = numba_source(forms(reference)["fused"], NumbaOptions(False, True, True))
    kernel = compiled(source)
    cases = [c for c in small_cases(reference, 6) if _allowed(name, c)]
    assert all(agrees(reference, kernel, c, rtol=1e-9) for c in cases)


def test_calls_that_no_iteration_changes_are_hoisted():
    text = program_text(forms(medical.backproject.reference)["fused"])
    assert "fixed0 = cos(theta[k])" in text.replace("    ", "")
    assert text.count("cos(") == 1


# --- Semantics of NumPy -------------------------------------------------------------------------

PROGRAMS = {
    "names that generated code introduces": """
        def f(acc0: Float64[np.ndarray, "n m"], steps: int) -> Float64[np.ndarray, "n m"]:
            out = acc0.copy()
            out_old = np.sum(acc0) / 2.0
            i0 = 3.0
            for fixed0 in range(steps):
                out[1:-1] = out[2:] + out[:-2] * np.cos(i0) + out_old * fixed0
            return out
        """,
    "float32 stays": """
        def f(a: Float32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
            return 0.1 * a + a / 3
        """,
    "int32 overflows": """
        def f(a: Int32[np.ndarray, "n"]) -> Int32[np.ndarray, "n"]:
            return a * a * 100000 + 7
        """,
    "integer division": """
        def f(a: Int64[np.ndarray, "n"], m: int) -> Float64[np.ndarray, "n"]:
            return a // 7 + a % 5 + a / 3
        """,
    "complex": """
        def f(a: Complex128[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
            b = a * (1 - 2j)
            return b.real + np.abs(b) * b.imag
        """,
    "overlap forwards": """
        def f(a: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
            b = a.copy()
            b[1:] = b[:-1] + b[1:]
            return b
        """,
    "transposed in place": """
        def f(a: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n n"]:
            b = a.copy()
            b[:, :] = b.T + b
            return b
        """,
    "boundaries": """
        def f(a: Float64[np.ndarray, "n m"], steps: int) -> Float64[np.ndarray, "n m"]:
            b = a.copy()
            for _ in range(steps):
                b[1:-1, 1:-1] = b[:-2, 1:-1] + b[1:-1, 2:]
                b[:, 0] = b[:, 1]
                b[0, :] = b[-1, :]
            return b
        """,
    "views see later stores": """
        def f(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
            b = a.copy()
            inner = b[1:-1]
            b[...] = b * 2.0
            inner += 1.0
            return b + np.sum(b)
        """,
    "names are bound again": """
        def f(a: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
            old = a
            b = a
            for k in range(steps):
                b = b + k
                b = 0.5 * b
            return b - old
        """,
    "swap": """
        def f(a: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
            u, v = a.copy(), a * 2
            for _ in range(steps):
                v[1:-1] = u[2:] - u[:-2]
                u, v = v, u
            return u
        """,
    "branches": """
        def f(a: Float64[np.ndarray, "n"], m: int) -> Float64[np.ndarray, "n"]:
            b = np.zeros_like(a)
            scale = 1
            if m > 3:
                scale = 2.5
                b[:] = a
            elif m == 2:
                b += 1.0
            else:
                b[::2] = -1.0
            return b * scale
        """,
    "scalar loops": """
        def f(a: Int64[np.ndarray, "n"], m: int) -> tuple[Int64[np.ndarray, "n"], int]:
            out = np.empty_like(a)
            best = 0
            for i in range(a.shape[0] - 1, -1, -1):
                total = 0
                for j in range(i + 1):
                    if a[j] % 2 == 0:
                        continue
                    total += a[j]
                    if total > 50:
                        break
                out[i] = total
                best = max(best, total, m)
            while best > 100:
                best = best // 2
            return out, best
        """,
    "negative and computed indices": """
        def f(a: Float64[np.ndarray, "n m"], k: int) -> Float64[np.ndarray, "m"]:
            half = a.shape[0] // 2
            return a[-1] + a[half] + a[k % a.shape[0] - 1, :] + a[half - 1, ::-1]
        """,
    "gather": """
        def f(a: Float64[np.ndarray, "n"], b: Int64[np.ndarray, "m"]) -> Float64[np.ndarray, "m"]:
            return a[b % a.shape[0] - 1]
        """,
    "slices beyond the end": """
        def f(a: Float64[np.ndarray, "n"]) -> float:
            return np.sum(a[2:100]) + np.sum(a[:3]) + np.sum(a[-2:]) + np.sum(a[1:2]) * a[:5].size
        """,
    "reductions": """
        def f(a: Float32[np.ndarray, "n m"]) -> Float32[np.ndarray, "n m"]:
            low = np.min(a, axis=0)
            mean = np.mean(a, axis=1, keepdims=True)
            return (a - mean) / (1 + np.max(a, axis=(0, 1)) - low[None, :])
        """,
    "nan in a maximum": """
        def f(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n"]:
            return np.max(np.sqrt(a), axis=1)
        """,
    "products": """
        def f(
            a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "m"]
        ) -> Float64[np.ndarray, "n n"]:
            c = a @ a.T
            c += np.outer(a @ b, a @ b)
            return c
        """,
    "masks": """
        def f(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
            b = np.where((a > 0) & ~(a > 0.5) | (a < -0.9), a, np.minimum(a, 0.25))
            b[b < 0] = 7
            return np.clip(b, -0.5, 5.0) ** 2
        """,
    "helpers": """
        def g(x: Float64[np.ndarray, "n"], scale: float) -> Float64[np.ndarray, "n"]:
            y = x * scale
            return y[1:] - y[:-1]


        def f(a: Float64[np.ndarray, "n+1"]) -> Float64[np.ndarray, "n"]:
            y = g(a, 2.0)
            return y + g(a * a, 0.5)
        """,
    "mutation": """
        def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "m"]) -> None:
            a += b
            a[1:] -= a[:-1] * b
            b[:] = np.where(b > 0, b, 2.0)
        """,
}


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("name", PROGRAMS)
def test_semantics(name, tmp_path):
    mutates = ("a", "b") if name == "mutation" else ()
    text = PROGRAMS[name]
    inputs = {"a": Uniform(-1, 1)} if "f(a: Float" in text else None
    sizes = {"n": 5, "m": 4, "steps": 3, "k": 2}
    used = {
        k: v
        for k, v in sizes.items()
        if f'"{k}' in text or f" {k}" in text.split("->", maxsplit=1)[0]
    }
    reference = reference_of(text, tmp_path, workloads={"w": used}, mutates=mutates, inputs=inputs)
    for program in forms(reference).values():
        for options in (NumbaOptions(), NumbaOptions(True, True, True)):
            kernel = interpreted(numba_source(program, options))
            results = [agrees(reference, kernel, c) for c in small_cases(reference, 25)]
            assert any(results)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return np.linalg.solve(a, a)", "numpy.linalg.solve"),
        ("return a[a > 0]", "boolean mask"),
        ("return np.sort(a)", "a call of sort"),
        ("a[0] = 1.0\n    return a", "which `mutates` does not name"),
        ("return np.where(a > 0, a, a[:, :: len(a)])", "step"),
        ("for row in {1, 2}:\n        pass\n    return a", r"`{1, 2}`"),
        ("return a + a[:1].T", "not known to be equal"),
        ("return a[1:]", "not known to be the annotated"),
    ],
)
def test_what_cannot_be_lifted_names_line_and_reason(body, reason, tmp_path):
    text = f'\ndef f(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:\n    {body}\n'
    reference = reference_of(text, tmp_path)
    with pytest.raises(NotLifted, match=reason) as caught:
        lift(reference)
    line = caught.value.line
    assert line is not None
    source = reference.file.read_text().splitlines()
    assert source[line - 1].strip() in body


def test_reproducible_refuses_to_reorder_a_sum(tmp_path):
    text = (
        'def f(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n"]:\n    return a.sum(1)\n'
    )
    reference = reference_of(text, tmp_path, reproducible=True)
    with pytest.raises(NotLifted, match="another order"):
        lift(reference)


# --- Random programs ----------------------------------------------------------------------------


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A function of two matrices and a vector made of random statements."""
    lines = []
    names = ["a", "b"]
    for k in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["bind", "bind", "update", "row", "loop", "rebind"]))
        one = draw(st.sampled_from(names))
        x, y = draw(_terms(names)), draw(_terms(names))
        if kind == "bind":
            lines.append(f"t{k} = {x} - {y}")
            names.append(f"t{k}")
        elif kind == "rebind" and one not in "ab":
            lines.append(f"{one} = {x} + {one}")
        elif kind == "row":
            reduction = draw(st.sampled_from(["sum", "max", "min", "mean"]))
            axis = draw(st.sampled_from([0, 1]))
            lines.append(f"t{k} = {x} - np.{reduction}({y}, axis={axis}, keepdims=True)")
            names.append(f"t{k}")
        else:
            lines.append(f"u{k} = {one}.copy()")
            target, left, right = draw(st.sampled_from(_REGIONS))
            update = f"u{k}[{target}] = u{k}[{left}] + 0.5 * {one}[{right}]"
            lines += ["for _ in range(2):", f"    {update}"] if kind == "loop" else [update]
            names.append(f"u{k}")
    body = "\n    ".join([*lines, f"return ({names[-1]} * 1.0).astype(a.dtype)"])
    dtype = draw(st.sampled_from(["Float64", "Float32"]))
    shape = f'{dtype}[np.ndarray, "n m"]'
    return f'def f(a: {shape}, b: {shape}, v: {dtype}[np.ndarray, "m"]) -> {shape}:\n    {body}\n'


def _terms(names: list[str]) -> st.SearchStrategy[str]:
    leaf = st.sampled_from([*names, "v", "v[None, :]", "a[:, 0][:, None]", "0.3", "2"])

    def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pair = st.tuples(inner, inner)
        return st.one_of(
            st.builds("({0[0]} {1} {0[1]})".format, pair, st.sampled_from("+-*")),
            st.builds(
                "np.{1}({0[0]}, {0[1]})".format, pair, st.sampled_from(["maximum", "minimum"])
            ),
            st.builds("np.where({0[0]} > {0[1]}, {0[1]}, 0.5)".format, pair),
            st.builds("np.abs({})".format, inner),
            st.builds("(-{})".format, inner),
        )

    grown = st.recursive(leaf, combined, max_leaves=4)
    return st.builds("({} + {})".format, st.sampled_from(names), grown)


_REGIONS = [
    ("1:-1, 1:-1", "2:, 1:-1", "1:-1, :-2"),
    ("1:", ":-1", "1:"),
    (":-1", "1:", ":-1"),
    (":, 0", ":, 1", ":, -1"),
    ("0", "-1", "1"),
    ("::2, :", "::2, :", "::2, ::-1"),
    (":, 1:", ":, 1:", ":, :-1"),
]


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_random_programs_agree(text, seed, tmp_path):
    reference = reference_of(text, tmp_path)
    rng = random.Random(seed)
    for program in forms(reference).values():
        kernel = interpreted(numba_source(program, NumbaOptions(True, True, True)))
        for _ in range(3):
            sizes = {"n": rng.choice(SIZES), "m": rng.choice(SIZES)}
            agrees(reference, kernel, Case(sizes, seed, "plain"), rtol=1e-9)
