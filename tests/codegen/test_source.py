"""What a function captures, the hash of it, and a standalone copy that computes the same."""

from __future__ import annotations

import importlib.util
import itertools
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codegen.source import captured_names, closure_of, tokens_of, without_annotations
from outpace.errors import ContractError

_numbers = itertools.count()


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Imports a module of this text; `name=` for one that others import."""
    folder = tmp_path_factory.mktemp("sources")
    made = []
    sys.path.insert(0, str(folder))

    def maker(text, name=None):
        name = name or f"source_{next(_numbers)}"
        path = folder / f"{name}.py"
        path.write_text(textwrap.dedent(text))
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        made.append(name)
        spec.loader.exec_module(module)
        return module

    yield maker
    sys.path.remove(str(folder))
    for name in set(made):
        del sys.modules[name]


def standalone(closure):
    namespace = {"__name__": "copy"}
    exec(closure.module_text(), namespace)
    return namespace[closure.name]


# --- Hash ---------------------------------------------------------------------------------------

BASE = """
import numpy as xp
from jaxtyping import Float64
def optimize(**options): return lambda fn: fn
SCALE = 2.0
TABLE = xp.arange(3.0)
def inner(x):
    return x + TABLE[0]
def helper(x):
    return inner(x) * SCALE
@optimize(workloads={"w": 1})
def main(u: Float64[xp.ndarray, "n"], k: int = 1):
    total = helper(u)
    for i in range(k):
        total = total + (i *
            3)
    return total
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    total = helper(u)\n", "    # a comment\n    total = helper(u)  # another\n"),
        (
            "    total = helper(u)\n",
            '    """A docstring.\n\n    Long.\n    """\n    total = helper(u)\n',
        ),
        ("    return inner", "    'One line.'\n    return inner"),
        ("    return inner", "    ('In'\n     'parentheses.')\n\n\n    return inner"),
        ("    for i", "\n\n    for i"),
        ('{"w": 1}', '{"w": 2, "v": 3}'),
        ("(i *\n            3)", "(i * 3)"),
        ("SCALE = 2.0", "UNUSED = 7\nSCALE = 1.0 + 1.0"),
        ("def inner", "def unused(x):\n    return x\ndef inner"),
    ],
)
def test_the_hash_does_not_change_with(make, old, new):
    assert BASE.count(old) == 1
    assert closure_of(make(BASE).main).hash == closure_of(make(BASE.replace(old, new)).main).hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("i *\n            3", "i *\n            4"),
        ("return inner(x) * SCALE", "return inner(x) / SCALE"),
        ("x + TABLE[0]", "x - TABLE[0]"),
        ("SCALE = 2.0", "SCALE = 2"),
        ("SCALE = 2.0", "SCALE = xp.float64(2.0)"),
        ("SCALE = 2.0", "SCALE = -2.0"),
        ("xp.arange(3.0)", "xp.arange(4.0)"),
        ("xp.arange(3.0)", "xp.arange(3)"),
        ("xp.arange(3.0)", "xp.arange(3.0).reshape(1, 3)[0:1]"),
        ("xp.arange(3.0)", "-xp.arange(3.0)"),
        ("k: int = 1", "k: int = 2"),
        ("k: int = 1", "k: float = 1"),
        ("    total = helper(u)\n    for", "    total = helper(u)\n    'text' + ''\n    for"),
        ("    return total", "        return total"),
        ("helper", "assistant"),
        ("main", "other"),
        ("import numpy as xp", "import numpy as xp, math as inner_math"),
    ],
)
def test_the_hash_changes_with(make, old, new):
    assert old in BASE
    changed = BASE.replace(old, new)
    if "inner_math" in changed:
        changed = changed.replace("return inner(x)", "return inner_math.pi + inner(x)")
    module = make(changed)
    main = module.other if old == "main" else module.main
    assert closure_of(make(BASE).main).hash != closure_of(main).hash


def test_a_string_that_is_no_docstring_counts():
    assert tokens_of("def f():\n    x = 1\n    'a'\n") != tokens_of(
        "def f():\n    x = 1\n    'b'\n"
    )
    assert tokens_of("def f():\n    'a'; return 1\n") != tokens_of("def f():\n    'a'; return 2\n")
    assert tokens_of("def f(): 'a'; return 1\n") != tokens_of("def f(): 'a'; return 2\n")


LINES = st.lists(
    st.sampled_from(["x = x + 1", "x = -x", "if x:\n        x = 2", "x = (x,\n    3)[1]"]),
    max_size=5,
)


@given(LINES, st.data())
def test_comments_and_blank_lines_never_count(lines, data):
    body = ["    " + line for line in [*lines, "return x"]]
    plain = "def f(x):\n" + "\n".join(body) + "\n"
    extra = [data.draw(st.sampled_from(["", "  # why\n", "\n\n", "# left\n"])) for _ in body]
    noted = "def f(x):  # head\n" + "\n".join(a + b for a, b in zip(extra, body, strict=True))
    assert tokens_of(noted + "  # tail\n") == tokens_of(plain)


# --- Standalone copies --------------------------------------------------------------------------


def same(a, b):
    return np.asarray(a).dtype == np.asarray(b).dtype and np.array_equal(a, b, equal_nan=True)


def test_a_copy_with_everything(make):
    module = make('''
        from __future__ import annotations
        import math
        import numpy as xp
        import numpy.linalg as la
        from math import sqrt
        from numpy import cos, float32 as single
        from jaxtyping import Float64

        FIELD = Float64[xp.ndarray, "n"]
        NOTHING, INFINITE, BELOW = float("nan"), math.inf, -math.inf
        MANY = (1, 2.5, (INFINITE, NOTHING), xp.float32(0.1), "text", None, True, xp.arange(3))
        WEIGHTS = xp.asfortranarray(xp.array([[1.0, xp.nan], [-0.0, 3.0]]))
        FOREIGN = xp.arange(4, dtype=">i2")
        EMPTY, POINT = xp.zeros((0, 3)), xp.array(7)
        ROOT = complex(-0.0, INFINITE)

        def _recursive(n: int, *rest: FIELD, **more: FIELD) -> int:
            """A docstring."""
            return 1 if n < 2 else n * _recursive(n - 1)

        def helper(x: FIELD, scale=MANY[1]) -> FIELD:
            y: FIELD = x * scale + _recursive(4)
            z: FIELD
            def nested(v: FIELD) -> FIELD:
                return v + POINT
            return nested(y)

        def main(u: FIELD, *, power: int = 2) -> FIELD:
            """Documented."""
            def nested(x, c=INFINITE):
                return x + (c if c < 0 else 0)
            shifts = [n for n in range(3)]
            first = (lambda x: x + sqrt(4.0))(helper(u)) ** power + sum(shifts) + la.norm(u)
            parts = [first, cos(u), xp.array([ROOT.imag, NOTHING, BELOW, *EMPTY.shape, *MANY[2]]),
                     WEIGHTS.ravel(), FOREIGN, xp.signbit(WEIGHTS.ravel()), single(MANY[3]) + POINT,
                     xp.copysign(1, ROOT.real), MANY[7]]
            WEIGHTS[0, 0] += 0
            return xp.concatenate([xp.atleast_1d(p) for p in parts]) + nested(u[0])
    ''')
    closure = closure_of(module.main)
    copy = standalone(closure)
    for u in (np.arange(3.0), np.array([np.nan, 1.0])):
        assert same(copy(u), module.main(u))
        assert same(copy(u, power=3), module.main(u, power=3))
    assert "jaxtyping" not in closure.module_text()
    assert closure.modules == {"xp": "numpy", "la": "numpy.linalg"}
    assert list(closure.functions) == ["_recursive", "helper", "main"]


CONSTANTS = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text(max_size=5)
    | st.none() | st.binary(max_size=4)
    | st.floats(width=32).map(np.float32) | st.integers(0, 255).map(np.uint8)
    | st.lists(st.floats(), max_size=3).map(np.array),
    lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6,
)  # fmt: skip


def bits(value):
    if isinstance(value, tuple):
        return tuple(map(bits, value))
    if isinstance(value, np.ndarray | np.generic):
        return (type(value), value.dtype, value.shape, value.tobytes())
    return (type(value), repr(value))


@given(CONSTANTS)
def test_any_constant_comes_back(value):
    def fn():
        return value

    assert bits(standalone(closure_of(fn))()) == bits(value)


def test_closures_are_captured(make):
    module = make("""
        import numpy as np
        def outer(scale):
            weights = np.full(2, scale)
            def helper(x):
                return x * weights.sum()
            def main(u):
                return main(u[1:]) if len(u) > 3 else helper(u) + scale
            return main
    """)
    for scale in (2.0, float("nan")):
        main = module.outer(scale)
        assert same(standalone(closure_of(main))(np.arange(5.0)), main(np.arange(5.0)))
    assert closure_of(module.outer(2.0)).hash != closure_of(module.outer(3.0)).hash
    assert closure_of(module.outer(2.0)).hash == closure_of(module.outer(2.0)).hash


def test_text_at_the_left_margin_of_a_nested_function(make):
    module = make(
        'def outer():\n    def main(u):\n        t = """\nx"""\n'
        "        return u + len(t)\n    return main\n"
    )
    main = module.outer()
    assert standalone(closure_of(main))(1) == main(1) == 3


def test_compiled_cached_and_optimized_helpers_are_taken_as_written(make):
    module = make("""
        import functools
        import numba
        import outpace
        @numba.njit
        def first(x): return x + 1
        @functools.lru_cache
        def second(x): return x * 2
        @outpace.optimize(workloads={})
        def third(x): return x - 3
        @outpace.optimize(workloads={})
        def main(u):
            return third(second(first(u))) if u > 0 else main(-u)
    """)
    closure = closure_of(module.main.reference.fn)
    assert set(closure.functions) == {"first", "second", "third", "main"}
    assert not closure.imports
    assert standalone(closure)(-4.0) == 7.0


def test_helpers_of_another_module_bring_what_they_capture(make):
    make("FACTOR = 3\ndef shift(x):\n    return x + FACTOR\n", "shifting_helpers")
    module = make("from shifting_helpers import shift\ndef main(u):\n    return shift(u) * 2\n")
    closure = closure_of(module.main)
    assert standalone(closure)(1) == 8
    assert closure.constants == {"FACTOR": 3}


def test_shadowed_builtins_and_local_names(make):
    module = make("""
        import numpy as np
        sum = np.sum
        c, e, m, i = 1.0, 2.0, 3.0, 4.0
        def main(u):
            import math as m
            try:
                raise ValueError
            except ValueError as e:
                pass
            for i in range(2):
                u = u + i
            return sum(u) + len([c for c in (1, 2)]) + c + m.pi
    """)
    closure = closure_of(module.main)
    assert closure.constants == {"c": 1.0}
    assert closure.imports == {"sum": "from numpy import sum as sum"}
    assert standalone(closure)(np.ones(2)) == module.main(np.ones(2))


def test_captured_names():
    text = "def f(u: A, k=B, *r: C) -> D:\n    x: E = g(u)\n    return [h(v, w) for v in x if f]\n"
    assert captured_names(text) == ["B", "g", "h", "w", "f"]
    assert without_annotations(text).startswith("def f(u, k=B, *r):\n    x = g(u)")


# --- What cannot be carried ---------------------------------------------------------------------

TWICE = """
import functools
def twice(f):
    @functools.wraps(f)
    def g(u): return 2 * f(u)
    return g
"""
COUNTER = """
def outer():
    n = 0
    def main(u):
        nonlocal n
        n += 1
        return u
    return main
main = outer()
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TABLE = [1, 2]\ndef main(u): return u + TABLE[0]",
         "main uses the global 'TABLE' of type list; pass it as an argument, or make it a number"),
        ("TABLE = {}\ndef main(u): return u + len(TABLE)", "of type dict"),
        ("import numpy as np\nT = np.array([None])\ndef main(u): return T", "of type ndarray"),
        ("import numpy as np\nT = np.ma.ones(2)\ndef main(u): return T", "of type MaskedArray"),
        ("import enum\nE = enum.IntEnum('E', 'A').A\ndef main(u): return u + E", "of type E"),
        ("g = lambda x: x\ndef main(u): return g(u)", "calls '<lambda>' as 'g'; write a helper"),
        ("def g(x): return x\nh = g\ndef main(u): return h(u)", "calls 'g' as 'h'; .*by that name"),
        ("main = lambda u: u", "is not a plain `def`"),
        ("main = (\n    lambda u:\n    u)", "is not a plain `def`"),
        ("async def main(u): return u", "is not a plain `def`"),
        ("exec('def main(u): return u')", "source of 'main' is not available; put"),
        ("class C: pass\ndef main(u): return C", "'C' of your own module"),
        ("import carried_module\ndef main(u): return carried_module.g(u)",
         "'carried_module' of your own module .*import each one by its name"),
        (COUNTER, "cannot stand alone: .*nonlocal"),
        (TWICE + "@twice\ndef h(u): return u\ndef main(u): return h(u)",
         "h is wrapped by a decorator, whose effect cannot be carried"),
        (TWICE + "@twice\ndef main(u): return u", "main is wrapped by a decorator"),
        ("from carried_module import g\nEPS = 2.0\ndef main(u): return g(u) + EPS",
         "'EPS' means two different things"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_is_one_clear_error(make, text, message):
    make("EPS = 1.0\ndef g(u):\n    return u + EPS\n", "carried_module")
    module = make(text)
    with pytest.raises(ContractError, match=message):
        closure_of(module.main)


def test_the_same_constant_in_two_modules_is_no_conflict(make):
    make(
        "import math\nEPS = float('nan')\ndef g(u):\n    return u + EPS + math.pi\n",
        "second_module",
    )
    module = make(
        "import math\nfrom second_module import g\nEPS = float('nan')\n"
        "def main(u): return g(u) + EPS + math.e\n"
    )
    assert np.isnan(standalone(closure_of(module.main))(1.0))
