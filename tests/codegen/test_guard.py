"""What is refused by its syntax tree, and what counts as the same draft."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codegen.drafters import DraftingTask, drafter_named
from outpace.codegen.guard import refusal
from outpace.codegen.llm.normal import normal_hash
from outpace.kernels.library import climate, linalg, quantum
from outpace.model import Argument, Contract, Draft, Output, Parameter, Target, Workload

CONTRACT = Contract(
    (Argument("u", "float64", ("n",)), Argument("factor", "float64")),
    (Output("out", "float64", ("n",)),),
    ("n",),
    (Workload("w", {"n": 8}),),
)
GOOD = "import numba\n@numba.njit\ndef kernel(u, factor, out):\n    out[:] = u * factor\n"


def reason(source, language="numba"):
    refused = refusal(Draft(language, source), CONTRACT)
    return refused.reason if refused is not None else None


@pytest.mark.parametrize(
    "source",
    [
        GOOD,
        "import numpy as np\nfrom math import sqrt\n" + GOOD,
        "def helper(x):\n    return x\n" + GOOD,
        GOOD + "    return\n",
        GOOD + "    return None\n",
        GOOD + "    def inner(x):\n        return x\n",
        "def make():\n    def f(a, b, c):\n        c[:] = a\n    return f\nkernel = make()\n",
    ],
)
def test_kernels_pass(source):
    assert reason(source) is None


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import os\n" + GOOD, "`os` may not be imported"),
        ("from subprocess import run\n" + GOOD, "`subprocess.run` may not be imported"),
        ("from numba.core import config\n" + GOOD, "may not be imported"),
        ("from . import x\n" + GOOD, "may not be imported"),
        (GOOD.replace("njit", "njit(cache=True)"), "leave `cache=` out"),
        (GOOD + "    eval('1')\n", "`eval` is no part of a kernel"),
        (GOOD + "    ().__class__\n", "`__class__` is no part of a kernel"),
        (GOOD + "    with numba.objmode():\n        pass\n", "`objmode` is no part of a kernel"),
        ("import numpy as np\nX = np.fromfile('/etc/passwd')\n" + GOOD, "`fromfile`"),
        ("class A:\n    pass\n" + GOOD, "classes and coroutines"),
        ("x = 1\n", "the module must define `def kernel(u, factor, out)`"),
        ("def kernel(u, out):\n    pass\n", "takes 2 arguments, needed is kernel(u, factor, out)"),
        ("def kernel(*a):\n    pass\n", "by position, without defaults"),
        (GOOD.replace("out[:] = u", "return u"), "must return nothing"),
    ],
)
def test_what_a_kernel_has_no_use_for_is_refused(source, told):
    assert told in reason(source)


def test_languages_without_a_tree_are_left_to_the_judge():
    assert reason("#include </etc/passwd>\n", "c") is None


def test_the_line_is_told():
    assert reason(GOOD + "    exec('')\n").startswith("line 5: ")


def test_what_the_library_is_drafted_as_passes():
    for function in (climate.hdiff, quantum.apply_gate, linalg.conv2d):
        task = DraftingTask(function.reference, Target("x86_64", "cpu", 2), ("numba",))
        for draft in drafter_named("builtin").propose(task).drafts:
            assert refusal(draft, function.reference.contract) is None


# --- the same draft -----------------------------------------------------------------------------


def same(one, other, language="numba", **fields):
    return normal_hash(Draft(language, one)) == normal_hash(Draft(language, other, **fields))


def test_layout_comments_docstrings_and_names_do_not_matter():
    other = (
        'import numba\n\n\n@numba.njit\ndef kernel(a, b, c):  # fast\n    """Scale."""\n'
        "    c[:] = (a * b)\n"
    )
    assert same(GOOD, other)


@pytest.mark.parametrize(
    "other",
    [
        GOOD.replace("u * factor", "factor * u"),
        GOOD.replace("u * factor", "u * u"),
        GOOD.replace("numba.njit", "numba.njit(parallel=True)"),
        GOOD + "    out[0] = 1\n",
        GOOD.replace("out[:]", "out[1:]"),
        "not python(",
    ],
)
def test_other_programs_are_others(other):
    assert not same(GOOD, other)


def test_parameters_keep_their_names_and_count():
    tiled = GOOD.replace("u * factor", "u * factor + T")
    assert not same(tiled, tiled, parameters=(Parameter("T", (1, 2)),))
    assert not same(tiled, tiled, flags={"fastmath": True})


def test_comments_and_layout_of_c_do_not_matter_and_strings_do():
    one = 'void kernel(int n) { /* a */\n  puts("a  // b"); // end\n}\n'
    assert same(one, 'void kernel(int n) {\n\n\tputs("a  // b");\n}', "c")
    assert not same(one, one.replace("//", "/*"), "c")


@given(st.text(max_size=80))
def test_any_source_has_a_normal_form(source):
    assert same(source, source)
    assert same(source, source, "c")


@given(st.permutations(["a", "b", "c", "x", "out", "factor"]))
def test_renaming_one_for_one_does_not_matter(names):
    old = ["u", "factor", "out", "t", "i", "s"]
    source = (
        "def kernel(u, factor, out):\n    t = factor\n    for i in range(u.size):\n"
        "        s = u[i] * t\n        out[i] = s\n"
    )
    renamed = re.sub(r"\w+", lambda m: dict(zip(old, names, strict=True)).get(m[0], m[0]), source)
    assert same(source, renamed)
