"""Arguments that are structures: contract, values, and the source that drafts are made of."""

import dataclasses
import importlib.util
import inspect
import itertools
import linecache
import re
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codegen.abi import as_results
from outpace.codegen.drafters.plain import plain_source
from outpace.codegen.inputs import Case, draw_cases, draw_inputs
from outpace.codegen.nests.lift import lift
from outpace.codegen.reference import load_function
from outpace.errors import ContractError, NotLifted
from outpace.tuner.numerics.oracle import Mode, Oracle
from outpace.tuner.numerics.selfcheck import check_reference

_numbers = itertools.count()

PRELUDE = """
import math
from dataclasses import dataclass, replace
from typing import NamedTuple, TypedDict
import numpy as np
from jaxtyping import Float32, Float64
import outpace
"""
STATE = """
class State{base}:
    u: Float64[np.ndarray, "y x"]
    v: Float64[np.ndarray, "y x"]
    dt: float
"""
STEP = """
@outpace.optimize(workloads={"w": dict(y=9, x=8, steps=3)}, mutates=("state.v",))
def step(state: State, steps: int = 2) -> Float64[np.ndarray, "y x"]:
    for _ in range(steps):
        state.v[1:-1] += state.dt * (state.u[2:] - 2 * state.u[1:-1] + state.u[:-2])
    return state.u + state.v
"""
STATES = {
    "dataclass": "@dataclass\n" + STATE.format(base="").lstrip(),
    "frozen": "@dataclass(frozen=True, slots=True)\n" + STATE.format(base="").lstrip(),
    "named tuple": STATE.format(base="(NamedTuple)"),
    "typed dict": STATE.format(base="(TypedDict)"),
}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Imports a module of this text."""
    folder = tmp_path_factory.mktemp("structured")
    made = []

    def maker(*parts):
        name = f"structured_{next(_numbers)}"
        path = folder / f"{name}.py"
        path.write_text(PRELUDE + "".join(map(textwrap.dedent, parts)))
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        made.append(name)
        spec.loader.exec_module(module)
        return module

    yield maker
    for name in made:
        del sys.modules[name]


def body(kind, text=STEP):
    """The text of a function, which reads a typed dict by its entries."""
    return (
        re.sub(r"state\.(u|v|dt)\b(?!\")", r'state["\1"]', text) if kind == "typed dict" else text
    )


@pytest.fixture(params=STATES)
def step(request, make):
    """The same function, of each kind of structure."""
    return make(STATES[request.param], body(request.param)).step.reference


def wave():
    rng = np.random.default_rng(0)
    return {"state_u": rng.normal(size=(9, 8)), "state_v": rng.normal(size=(9, 8)), "state_dt": 0.1}


# --- Contract -----------------------------------------------------------------------------------


def test_the_contract_has_the_fields(step):
    arguments = step.contract.arguments
    assert [a.name for a in arguments] == ["state_u", "state_v", "state_dt", "steps"]
    assert [a.dims for a in arguments] == [("y", "x"), ("y", "x"), None, None]
    assert [a.mutated for a in arguments] == [False, True, False, False]
    assert list(inspect.signature(step.fn).parameters) == [a.name for a in arguments]


def test_the_function_is_called_with_the_structure(step):
    values = wave()
    copies = {n: np.copy(v) for n, v in values.items()}
    returned = step.fn(**values, steps=1)
    u, v = copies["state_u"], copies["state_v"]
    v[1:-1] += 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
    np.testing.assert_array_equal(values["state_v"], v)
    np.testing.assert_array_equal(values["state_u"], u)
    np.testing.assert_array_equal(returned, u + v)


def test_the_copy_in_higher_precision_is_one_of_the_fields(step):
    checked = check_reference(step, seed=1, cases=12)
    assert checked.mode is Mode.HIGH
    assert len(checked.cases) >= 6


def test_lifted_loops_and_plain_numba_take_the_fields(step):
    program = lift(step)
    names = ["state_u", "state_v", "state_dt", "steps", "out"]
    assert [p.name for p in program.parameters] == names
    assert f"def kernel({', '.join(names)})" in plain_source(step)


def test_no_constructor_runs_for_the_judge(make):
    module = make(
        STATES["dataclass"],
        "    def __post_init__(self):\n        raise AssertionError\n",
        STEP,
    )
    step = module.step.reference
    assert step.fn(**wave(), steps=1).shape == (9, 8)


def test_an_inherited_and_a_later_field_are_fields(make):
    found = make(
        STATES["dataclass"],
        """
        from dataclasses import field
        from typing import ClassVar
        @dataclass
        class More(State):
            limit: ClassVar[int] = 3
            w: Float32[np.ndarray, "y"] = field(init=False)
        @outpace.optimize(workloads={"w": dict(y=3, x=3)})
        def total(*, more: More) -> float:
            return float(np.sum(more.u) + np.sum(more.w)) * more.dt
        """,
    ).total.reference
    names = ["more_u", "more_v", "more_dt", "more_w"]
    assert [a.name for a in found.contract.arguments] == names
    case = Case({"y": 3, "x": 3}, 0)
    inputs = draw_inputs(found, case)
    oracle = Oracle(found)
    expected = (inputs["more_u"].sum() + inputs["more_w"].sum()) * inputs["more_dt"]
    np.testing.assert_allclose(oracle.native(inputs, case.sizes)[0], [expected], rtol=1e-6)


def test_a_notebook_function_travels_as_a_copy_that_takes_the_fields(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = PRELUDE + STATES["dataclass"] + STEP
    linecache.cache["<cell 2>"] = (len(text), None, text.splitlines(keepends=True), "<cell 2>")
    namespace = {"__name__": "__main__"}
    exec(compile(text, "<cell 2>", "exec"), namespace)
    found = namespace["step"].reference
    ran = load_function(*found.importable())
    first, second = wave(), wave()
    np.testing.assert_array_equal(ran(*first.values(), 2), found.fn(*second.values(), 2))


# --- What is refused ----------------------------------------------------------------------------

UV = 'u: Float64[np.ndarray, "n"]'
REFUSED = {
    "dict": (
        "def f(state: dict) -> float: return 0.0",
        r"'state' is a dict, which does not say what it holds; write `class State\(TypedDict\):`",
    ),
    "typed plain dict": (
        "def f(wave_state: dict[str, float]) -> float: return 0.0",
        r"`class WaveState\(TypedDict\):` .* annotate `wave_state: WaveState`",
    ),
    "nested": (
        (
            f"@dataclass\nclass In:\n    {UV}\n@dataclass\nclass Out:\n    inner: In\n"
            "def f(state: Out) -> float: return 0.0"
        ),
        "'state.inner' is a In, a structure within another; give its fields to Out",
    ),
    "clash": (
        f"@dataclass\nclass S:\n    {UV}\ndef f(state: S, state_u: float) -> float: return 0.0",
        "`state.u` is taken as the argument 'state_u', but there is another one of that name",
    ),
    "default": (
        (
            f"class S(NamedTuple):\n    {UV}\nNONE = S(np.zeros(3))\n"
            "def f(state: S = NONE) -> float: return 0.0"
        ),
        "'state' is a S, which is taken as its fields and can have no default",
    ),
    "no annotation": (
        (
            "from collections import namedtuple\nS = namedtuple('S', 'u v')\n"
            "def f(state: S) -> float: return 0.0"
        ),
        r"the field 'u' of S has no annotation; write `class S\(NamedTuple\):`",
    ),
    "optional": (
        f"class S(TypedDict, total=False):\n    {UV}\ndef f(state: S) -> float: return 0.0",
        "'state.u' need not be there; .* leave NotRequired and total=False out of S",
    ),
    "no identifier": (
        'S = TypedDict("S", {"in-flow": float})\ndef f(state: S) -> float: return 0.0',
        "S has an entry 'in-flow', which cannot be the name of an argument",
    ),
    "empty": (
        "@dataclass\nclass S:\n    pass\ndef f(state: S) -> float: return 0.0",
        "'state' is a S, which has no field",
    ),
    "text": (
        "class S(NamedTuple):\n    u: str\ndef f(state: S) -> float: return 0.0",
        "annotation of 'state.u', .*neither a jaxtyping array nor a scalar",
    ),
    "result": (
        f"class S(NamedTuple):\n    {UV}\ndef f(state: S) -> S: return state",
        "f returns a S; return a tuple of its fields",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_a_structure_that_cannot_be_taken_apart(make, text, message):
    module = make(text)
    for _ in range(2):
        with pytest.raises(ContractError, match=message):
            _ = module.outpace.reference(module.f, workloads={"w": {"n": 3}}).reference.contract


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mutates": ("state",)}, "'state' is a State; name its fields, which are state.u, state."),
        ({"mutates": ("state.w",)}, r"mutates names \['state.w'\], which step does not take"),
        ({"mutates": ("state.dt",)}, "mutates names 'state_dt', which is a scalar"),
        ({"inputs": {"state": 1}}, "'state' is a State; name its fields"),
        ({"inputs": {"state.w": 1}}, "inputs names 'state.w', which"),
    ],
)
def test_an_option_that_names_no_field(make, options, message):
    module = make(STATES["dataclass"], STEP)
    step = module.outpace.reference(
        module.step.reference.written, workloads={"w": {"y": 3, "x": 3, "steps": 1}}, **options
    )
    with pytest.raises(ContractError, match=message):
        _ = step.reference.contract


# --- Input values -------------------------------------------------------------------------------


def test_distributions_are_named_by_field(make):
    step = make(
        STATES["named tuple"],
        "from outpace import Constant, Uniform\n",
        STEP.replace(
            "mutates", 'inputs={"state.u": Uniform(2, 3), "state_dt": Constant(0.5)},\nmutates'
        ),
    ).step.reference
    for case in draw_cases(step, 12, 0):
        inputs = draw_inputs(step, case)
        assert inputs["state_dt"] == 0.5
        if case.flavour == "plain":
            assert ((inputs["state_u"] >= 2) & (inputs["state_u"] <= 3)).all()


@pytest.mark.parametrize(
    "made",
    [
        '{"state": State(u, v, 0.5)}',
        '{"state.u": u, "state.v": v, "state.dt": 0.5}',
        '{"state_u": u, "state_v": v, "state_dt": 0.5}',
        '{"state.u": u, "state_v": v, "state_dt": 0.5}',
    ],
)
def test_a_callable_gives_structures_or_fields(make, made):
    text = f"""
    def drawn(sizes, rng):
        u, v = (np.full((sizes["y"], sizes["x"]), value) for value in (1.0, 2.0))
        return {made}
    """
    step = make(
        STATES["dataclass"], text, STEP.replace("mutates", "inputs=drawn, mutates")
    ).step.reference
    inputs = draw_inputs(step, Case({"y": 3, "x": 4, "steps": 1}, 0))
    assert inputs["state_u"].shape == (3, 4)
    assert (inputs["state_v"] == 2).all()
    assert (inputs["state_dt"], inputs["steps"]) == (0.5, 1)


# --- Source -------------------------------------------------------------------------------------


def flat_body(reference):
    text = reference.closure.functions[reference.written.__name__]
    return text.partition("\n")[2]


USES = """
@dataclass
class S:
    u: Float64[np.ndarray, "n"]
    c: float

class T(NamedTuple):
    u: Float64[np.ndarray, "n"]
    c: float

class D(TypedDict):
    u: Float64[np.ndarray, "n"]
    c: float

def scaled(s, factor=1.0):
    return s.u * s.c * factor

def kept(factor, *, given):
    return scaled(s=given) + factor

"""


def reference_of(make, text, mutates=()):
    module = make(USES, text)
    return module.outpace.reference(module.f, workloads={"w": {"n": 5}}, mutates=mutates).reference


ACCEPTED = {
    "comments and lines stay": (
        "def f(s: S) -> float:\n    # s.c first\n    é = s.c; c = (s\n      .c)\n"
        "    return é + c * s.u[0]"
    ),
    "written in place": "def f(s: S) -> float:\n    s.u[1:] = 2\n    s.u += s.c\n    return s.c",
    "helpers": "def f(s: S) -> float:\n    return float(np.sum(scaled(s) + kept(2.0, given=s)))",
    "renamed": "def f(a: S, b: T) -> float:\n    return float(np.sum(kept(a.c, given=b) + a.u[0]))",
    "taken apart": (
        "def f(t: T) -> float:\n    u, c = t\n    return float(u[0] * c + t[1] + t[0][1])"
    ),
    "entries": "def f(d: D) -> float:\n    d['u'][0] = 3\n    return float(d['u'].sum() * d['c'])",
    "in a string": (
        "def f(s: S) -> float:\n    if s.c > 1e9:\n"
        '        raise ValueError(f"at {s.u[0]:.3f}: {s.c!r}")\n    return s.c'
    ),
    "by keyword": "def f(*, s: S, k: float = 2.0) -> float:\n    return s.c * k",
    "in inner functions": (
        "def f(s: S) -> float:\n    return max((lambda x: x + s.c)(v) for v in s.u)"
    ),
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_the_flat_source_computes_the_same(make, text):
    reference = reference_of(make, text)
    namespace = {}
    exec(reference.closure.module_text(), namespace)
    for seed in range(3):
        first, second = (draw_inputs(reference, Case({"n": 5}, seed)) for _ in range(2))
        expected = as_results(reference.contract, reference.fn(**first), {"n": 5})
        np.testing.assert_array_equal(namespace["f"](**second), expected[0][0])
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])


def test_comments_and_lines_stay_where_they_are(make):
    assert flat_body(reference_of(make, ACCEPTED["comments and lines stay"])) == (
        "    # s.c first\n    é = s_c; c = (s_c)\n    return é + c * s_u[0]\n"
    )


def test_what_cannot_be_lifted_names_the_line_of_the_file(make):
    text = "def f(s: S) -> float:\n    c = s.c\n    return float(np.random.rand() + c)"
    reference = reference_of(make, text)
    lines = reference.file.read_text().splitlines()
    with pytest.raises(NotLifted, match=f"line {len(lines)}: "):
        lift(reference)


NOT_FLAT = {
    "bound": (
        "s.u = s.u + 1",
        r"in `s.u = s.u \+ 1`: .* binds `s.u` to another object; write into",
    ),
    "counted": ("s.c += 1", "binds `s.c` to another object; return its new value"),
    "deleted": ("del s.c", "binds `s.c` to another object"),
    "entry": ("d['u'] = d['u'] + 1", r"binds `d\['u'\]` to another object; write into the array"),
    "method": (
        "s.energy()",
        "`s` is taken as its fields, and used as a whole; read a field, `s.u`",
    ),
    "unknown entry": ("d.items()", "`d` is taken as its fields"),
    "whole": ("b = s", "f, in `b = s`: `s` is taken as its fields, and used as a whole"),
    "replaced": ("s = s2 = None", "used as a whole"),
    "library": (
        "replace(s, c=2.0)",
        "`replace` is handed `s` as a whole, and is no plain function",
    ),
    "builtin": ("len(s)", "`len` is handed `s` as a whole"),
    "method of another": ("np.sum(t)", "`t` is taken as its fields, and used as a whole"),
    "unpacked": ("scaled(*t)", "`t` is taken as its fields"),
    "two ways": (
        "scaled(s); scaled(t.u)",
        "f calls `scaled` with other structures than it is called with elsewhere",
    ),
    "string": ('f"{s}"', "`s` is taken as its fields, and used as a whole"),
    "name": ("s_u = s.u * 2", "f uses the name 's_u', under which drafts know `s.u`; rename it"),
    "hidden": ("g = lambda s: s", "f holds a function with an argument 's'; rename it"),
}


@pytest.mark.parametrize(("statement", "message"), NOT_FLAT.values(), ids=NOT_FLAT)
def test_source_whose_structures_cannot_be_taken_as_fields(make, statement, message):
    text = f"def f(s: S, t: T, d: D) -> float:\n    {statement}\n    return 0.0"
    reference = reference_of(make, text)
    with pytest.raises(ContractError, match=message):
        _ = reference.source_hash


def test_a_function_that_binds_a_field_anew_is_refused_by_the_self_check(make):
    text = """
    def other(s):
        setattr(s, "u", s.u * 2)

    def f(s: S) -> float:
        other(s)
        return float(s.u.sum() / 3)
    """
    with pytest.raises(ContractError, match=r"binds `s\.u` to another object; write into"):
        check_reference(reference_of(make, text), 0)


def test_the_hash_covers_names_order_and_annotations_of_the_fields(make):
    def hash_of(text):
        module = make(text, "\ndef f(s: S) -> float:\n    return float(s.a.sum() * s.b)\n")
        return module.outpace.reference(module.f, workloads={"w": {"n": 5}}).reference.source_hash

    fields = ['a: Float64[np.ndarray, "n"]', "b: float", 'c: Float64[np.ndarray, "n"]']
    texts = [fields, fields[::-1], fields[:2], [*fields[:2], fields[2].replace("c", "d")]]
    texts += [[*fields[:2], fields[2].replace("64", "32")], [fields[0], "b: int", fields[2]]]
    heads = "@dataclass\nclass S:\n    "
    hashes = [hash_of(heads + "\n    ".join(text)) for text in texts]
    assert len(set(hashes)) == len(texts)
    tuples = "class S(NamedTuple):\n    # of another kind\n    " + "\n    ".join(fields)
    assert hash_of(tuples) == hashes[0]


@given(data=st.data())
def test_values_are_the_same_after_being_taken_apart_and_put_together(make_once, data):
    reference = make_once
    n = data.draw(st.integers(0, 4))
    values = draw_inputs(reference, Case({"n": n}, data.draw(st.integers(0, 9))))
    for structure in reference.structures.values():
        whole = structure.put_together(values)
        assert type(whole) is (dict if structure.name == "d" else structure.made_of)
        apart = structure.taken_apart(whole)
        assert all(apart[name] is values[name] for name in apart)
        if dataclasses.is_dataclass(whole):
            assert dataclasses.asdict(whole).keys() == {"u", "c"}


@pytest.fixture(scope="module")
def make_once(make):
    return reference_of(make, "def f(s: S, t: T, d: D) -> float:\n    return s.c + t.c + d['c']")
