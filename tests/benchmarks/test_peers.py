"""The comparison with other compilers: ports mean what NumPy means, wrong forms do not count."""

from __future__ import annotations

import ast
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from outpace.codegen.abi import as_results
from outpace.codegen.inputs import Case, draw_inputs

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from peers import tables
from peers.contenders import Contender, Field, functional, telling_line
from peers.dace_forms import dace_forms, fold_shapes
from peers.forms import PORTS, hand_port, numba_forms, pythran_forms, with_prange
from peers.jax_forms import ported
from peers.measuring import TRUSTED, chosen, measure
from peers.roofline import must_move
from programs import PROGRAMS

SMALL = {
    "fdtd_2d": {"steps": 5, "ny": 6, "nx": 7},
    "cavity_flow": {"ny": 6, "nx": 7, "steps": 5, "sweeps": 6},
    "jacobi_1d": {"n": 9, "steps": 8},
    "floyd_warshall": {"n": 7},
    "vadv": {"I": 3, "J": 4, "K": 7},
    "lu": {"n": 6},
    "covariance": {"m": 4, "n": 6},
    "gramschmidt": {"m": 7, "n": 6},
    "seidel_2d": {"n": 6, "steps": 3},
}
"""Programs that write into arrays in loops: over planes, single elements, and triangles."""


class Updatable(np.ndarray):
    """A NumPy array that cannot change, with JAX's updates."""

    @property
    def at(self):
        return Places(self)


class Places:
    def __init__(self, array, index=None):
        self.array, self.index = array, index

    def __getitem__(self, index):
        return Places(self.array, index)

    def set(self, value):
        changed = np.array(self.array)
        changed[self.index] = value
        return unchangeable(changed)


class Unchanging:
    """NumPy whose functions return arrays that cannot change."""

    def __getattr__(self, name):
        found = getattr(np, name)
        if isinstance(found, np.ufunc) or found in (np.float64, np.int64):
            return found
        return lambda *given, **named: unchangeable(found(*given, **named))


def unchangeable(found):
    if not isinstance(found, np.ndarray):
        return found
    found.flags.writeable = False
    return found.view(Updatable)


def fori_loop(start, stop, body, state):
    for i in range(start, stop):
        state = body(i, state)
    return state


@pytest.mark.parametrize("name", SMALL)
def test_port_to_jax_writes_into_no_array_and_means_the_same(name):
    reference = PROGRAMS[name]
    given = draw_inputs(reference, Case(SMALL[name], 3))
    text = ported(reference)
    for line in ("from jax import lax as _lax", "import jax.numpy as np"):
        text = text.replace(line, "")
    lax = SimpleNamespace(fori_loop=fori_loop)
    names = {"_lax": lax, "np": Unchanging()}
    exec(text, names)
    frozen = [unchangeable(v.copy()) if isinstance(v, np.ndarray) else v for v in given.values()]
    returned = names[reference.written.__name__](*frozen)

    expected = reference.written(*given.values())
    mutated = [given[a.name] for a in reference.contract.mutated]
    expected = mutated + as_results(reference.contract, expected, SMALL[name])
    got = as_results(functional(reference.contract), returned, SMALL[name])
    for want, have in zip(expected, got, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-12)


LOOPS = {
    "jacobi_2d": {"y": 5, "x": 6, "steps": 3},
    "heat_3d": {"z": 4, "y": 5, "x": 6, "steps": 3},
    "hdiff": {"I": 4, "J": 5, "K": 2},
    "vadv": {"I": 3, "J": 4, "K": 7},
    "cavity_flow": {"ny": 6, "nx": 7, "steps": 2, "sweeps": 3},
    "fdtd_2d": {"steps": 3, "ny": 6, "nx": 7},
    "softmax": {"batch": 2, "heads": 1, "queries": 3, "keys": 5},
    "conv2d_bias": {"batch": 2, "h": 5, "w": 6, "k": 3, "cin": 2, "cout": 3},
    "floyd_warshall": {"n": 7},
    "nbody": {"n": 5, "steps": 2},
    "arc_distance": {"n": 6},
    "azimint_naive": {"n": 200, "npt": 5},
}


def test_every_headline_program_has_loops_by_hand():
    assert {path.stem for path in (PORTS / "loops").glob("*.py")} == set(tables.HEADLINE)
    assert set(LOOPS) == set(tables.HEADLINE)


@pytest.mark.parametrize(
    ("kind", "name"), [*(("loops", name) for name in LOOPS), ("rewritten", "azimint_naive")]
)
def test_loops_by_hand_mean_the_same(kind, name):
    reference = PROGRAMS[name]
    contract, sizes = reference.contract, LOOPS[name]
    given = draw_inputs(reference, Case(sizes, 5))
    own = {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in given.items()}
    names = {}
    exec(hand_port(kind, name), names)
    results = []
    for run, values in ((reference.written, given), (names[name], own)):
        returned = as_results(contract, run(*values.values()), sizes)
        results.append([values[a.name] for a in contract.mutated] + returned)
    for want, have in zip(*results, strict=True):
        rtol = 1e-5 if want.dtype == np.float32 else 1e-11
        np.testing.assert_allclose(have, want, rtol=rtol, atol=rtol)


def test_functional_contract_returns_what_was_mutated_first():
    contract = functional(PROGRAMS["covariance"].contract)
    assert not contract.mutated
    assert [o.dims for o in contract.outputs] == [("n", "m"), ("m", "m")]


NESTED = """
def f(n):
    for i in range(n):
        for j in range(i):
            for k in range(j):
                pass
    for i in range(2):
        pass
"""


@pytest.mark.parametrize(("depth", "expected"), [(0, [0, 0]), (1, [1]), (2, [2]), (3, [])])
def test_prange_replaces_the_loops_at_one_depth(depth, expected):
    found = []

    def visit(node, level):
        for child in ast.iter_child_nodes(node):
            is_loop = isinstance(child, ast.For)
            if is_loop and ast.unparse(child.iter.func) == "numba.prange":
                found.append(level)
            visit(child, level + is_loop)

    visit(ast.parse(with_prange(NESTED, depth)), 0)
    assert found == expected


def test_shapes_become_numbers_and_so_do_names_that_stand_for_them():
    text = """
    def f(a, b):
        n, m = a.shape
        rows = n - b.shape[0] + 1
        count = 0
        for i in range(rows):
            count += a[i, m - 1]
        return count
    """
    function = ast.parse(textwrap.dedent(text)).body[0]
    fold_shapes(function, {"a": (5, 7), "b": (2,)})
    assert ast.unparse(function).splitlines() == [
        "def f(a, b):",
        "    count = 0",
        "    for i in range(4):",
        "        count += a[i, 7 - 1]",
        "    return count",
    ]


def test_loops_for_dace_have_indices_of_their_own():
    reference = PROGRAMS["cavity_flow"]
    forms = dace_forms(reference, reference.contract.workload("small"))
    text = forms[0].files["ported.py"]
    assert "for turn_0 in range(steps)" in text
    assert "for turn_1 in range(sweeps)" in text
    assert "def cavity_flow(u: dace.float64[64, 64]" in text


def test_forms_are_told_apart_and_are_python():
    reference = PROGRAMS["azimint_naive"]
    workload = reference.contract.workload("small")
    forms = numba_forms(reference) + pythran_forms(reference) + dace_forms(reference, workload)
    assert len({(form.peer, form.name) for form in forms}) == len(forms)
    for form in forms:
        for text in form.files.values():
            ast.parse(text)
    exported = {form.files["ported.py"].splitlines()[0] for form in pythran_forms(reference)[2:]}
    assert exported == {"#pythran export azimint_naive(float64[:], float64[:], int)"}


def test_loops_by_hand_run_in_parallel_where_pragmas_say_so():
    texts = [f.files["ported.py"] for f in numba_forms(PROGRAMS["jacobi_2d"]) if "hand" in f.name]
    assert texts
    for text in texts:
        assert "for i in numba.prange(1, rows - 1)" in text
        assert "for j in range(1, columns - 1)" in text


def test_what_an_error_says_names_no_folder():
    said = "warning: x\n/home/me/src/a.cpp:3: error: no such thing\nmake: *** stopped"
    assert telling_line(said) == "a.cpp:3: error: no such thing"
    raised = "Traceback\n  File ...\nValueError: no\n  File again"
    assert telling_line(raised) == "ValueError: no"


# --- Measuring ----------------------------------------------------------------------------------

RIGHT = "import numpy\ndef program(a):\n    return a + sum(map(numpy.tanh, a.diagonal()))"
FORMS = {
    ("numba", "right"): RIGHT,
    ("jax", "right"): RIGHT,
    ("numba", "wrong"): "def program(a):\n    return a + 1.0",
    ("numba", "raises"): "def program(a):\n    raise ValueError('not today')",
}


def test_wrong_forms_are_left_out_with_their_reasons(tmp_path):
    reference = PROGRAMS["go_fast"]
    contenders = [Contender("numpy", "", reference.contract, tmp_path, reference.location, None)]
    for (peer, name), text in FORMS.items():
        home = tmp_path / peer / name
        home.mkdir(parents=True)
        (home / "program.py").write_text(text)
        location = (str(home / "program.py"), "program")
        contenders.append(
            Contender(peer, name, reference.contract, home, location, Path(sys.executable))
        )
    workload = reference.contract.workload("small")
    field = Field(contenders, {"dace: auto_opt": "does not build"})
    measured = measure(reference, workload, field, 7, np.random.default_rng(1))
    assert set(measured.samples) == {TRUSTED, "numba: right", "jax: right"}
    assert all(len(samples) >= 7 for samples in measured.samples.values())
    assert set(measured.left_out) == {"dace: auto_opt", "numba: wrong", "numba: raises"}
    assert measured.left_out["numba: wrong"].startswith("wrong: ")
    assert "not today" in measured.left_out["numba: raises"]


def test_only_forms_near_the_fastest_are_timed(tmp_path):
    contract = PROGRAMS["go_fast"].contract
    seconds = {"a": 1.0, "b": 1.1, "c": 1.15, "d": 1.3}
    forms = [Contender("numba", n, contract, tmp_path, ("", ""), None) for n in seconds]
    screened = {form.label: seconds[form.form] for form in forms}
    assert [form.form for form in chosen(forms, screened)] == ["a", "b"]


# --- Tables -------------------------------------------------------------------------------------


def measured_file(**samples):
    named = {TRUSTED if name == "numpy" else f"{name}: x": s for name, s in samples.items()}
    return {
        "samples": named,
        "left_out": {"jax: by hand": "wrong: x", "numba: y": "slow"},
        "must_move": 4_000_000,
        "bandwidth": 1e10,
        "fits_last_cache": False,
    }


def test_row_holds_medians_of_ratios_and_the_share_of_bandwidth():
    found = measured_file(numpy=[8e-3, 8e-3, 9e-3], numba=[4e-3] * 3, outpace=[1e-3, 1e-3, 2e-3])
    row = tables.row_of("hdiff", found)
    assert row.speedups == pytest.approx({"numba": 2.0, "outpace": 8.0})
    assert row.over_best == pytest.approx(4.0)
    assert row.share == pytest.approx(0.4)
    assert tables.reasons("hdiff", found) == ["| hdiff | jax | wrong: x |"]


def test_another_algorithm_is_told_and_counts_as_no_peer():
    found = measured_file(numpy=[8e-3], numba=[4e-3], rewritten=[1e-4], outpace=[2e-3])
    row = tables.row_of("azimint_naive", found)
    assert row.over_best == pytest.approx(2.0)
    assert "rewritten" not in row.speedups
    assert tables.rewritten("azimint_naive", found)[0].endswith("80x over NumPy.")


def test_the_reference_itself_is_the_best_peer_where_all_others_are_slower():
    row = tables.row_of("gemm", measured_file(numpy=[2e-3], numba=[4e-3], outpace=[1e-3]))
    assert row.over_best == pytest.approx(2.0)


def test_a_peer_that_fails_counts_as_the_reference_in_means():
    rows = [
        tables.row_of("hdiff", measured_file(numpy=[8e-3], numba=[2e-3], outpace=[1e-3])),
        tables.row_of("vadv", measured_file(numpy=[8e-3], outpace=[4e-3])),
    ]
    lines = tables.table(rows).splitlines()
    assert lines[2].startswith("| **hdiff** | 8 ms | 4x | - | - | - | 8x | 2x | 40% |")
    assert lines[-1].startswith("| geometric mean of all (2) | | 2x | 1x | 1x | 1x | 4x | 2x |")


def test_sweeps_count_where_arrays_do_not_fit_into_the_last_cache():
    contract = PROGRAMS["jacobi_2d"].contract
    workload = contract.workload("large")
    once = 3 * 8 * 1024 * 1024 + 8  # an array is read, a new one owned and written; an integer
    assert must_move("jacobi_2d", contract, workload, 1 << 30) == (once, True)
    assert must_move("jacobi_2d", contract, workload, 1 << 20) == (40 * once, False)


def test_plot_is_written(tmp_path):
    rows = [tables.row_of("hdiff", measured_file(numpy=[8e-3], numba=[2e-3], outpace=[1e-3]))]
    tables.plot(rows, tmp_path / "plot.svg", "title")
    text = (tmp_path / "plot.svg").read_text()
    assert "hdiff" in text
    assert "title" in text
