"""What stands in the way of a function, in the words that its user reads."""

import re
import sys

import numpy as np
import pytest

from outpace.codegen.capture.proposal import propose
from outpace.codegen.capture.reading import Obstacle, in_folders
from outpace.codegen.capture.watching import Watcher

HEAD = "import numpy as np\nu = np.arange(20.0)\n"


@pytest.fixture
def watch(tmp_path):
    """Runs a program under watch in this process; what was seen, by name."""

    def run(program):
        path = tmp_path / "program.py"
        path.write_text(HEAD + program)
        watcher = Watcher(in_folders((tmp_path,)))
        scope = {"__name__": "program"}
        code = compile(path.read_text(), str(path), "exec")
        before = sys.getprofile()
        watcher.install()
        try:
            exec(code, scope)
        finally:
            sys.setprofile(before)
        assert watcher.problem is None
        return {seen.qualname: seen for seen in watcher.seen.values()}

    return run


@pytest.mark.parametrize(
    ("program", "name", "why"),
    [
        (
            (
                "class A:\n    def f(self, u):\n        return self.g(u)\n"
                "    def g(self, u):\n        return u\nA().f(u)\n"
            ),
            "A.f",
            r"it is a method and calls `self.g\(...\)`; make that a function of arrays and numbers",
        ),
        (
            "def show(a): pass\nclass A:\n    def f(self):\n        show(self)\nA().f()\n",
            "A.f",
            "it is a method and hands on `self` itself; pass what is needed of it as arguments",
        ),
        (
            "class A:\n    def __init__(self):\n        self.u = u * 2\nA()\n",
            "A.__init__",
            "it is a constructor; move its arithmetic into a function of arrays",
        ),
        (
            "def outer(c):\n    def f(u):\n        return u * c\n    return f(u)\nouter(2.0)\n",
            "outer.<locals>.f",
            "it is defined inside outer and reads c of it; pass that as an argument, and move it",
        ),
        ("def f(u):\n    yield u\nlist(f(u))\n", "f", "it is a generator; return an array"),
        ("def f(*us):\n    return us[0] * 2\nf(u)\n", "f", r"it takes \*args or \*\*kwargs; name"),
        (
            "import functools\n@functools.cache\ndef f(c):\n    return u * c\nf(2)\n",
            "f",
            "it is decorated by `@functools.cache`; take that off, or decorate a wrapper of it",
        ),
        (
            "def f(u, mode):\n    return u * 2\nf(u, 'wrap')\n",
            "f",
            "mode is 'wrap'; a reference takes arrays and numbers alone: write one function for",
        ),
        ("def f(u):\n    return u\nf([1, 2])\n", "f", r"u is a list; pass an array, `np.asarray"),
        (
            "def f(p):\n    return p['u'] * 2\nf({'u': u, 'name': 'x'})\n",
            "f",
            r"p is a dict; pass `p\['u'\]` instead",
        ),
        (
            (
                "class State:\n    pass\nstate = State()\nstate.u = u\n"
                "def f(state):\n    return state.u * 2\nf(state)\n"
            ),
            "f",
            "state is an object of class State; pass `state.u` instead",
        ),
        (
            (
                "import typing\nclass Pair(typing.NamedTuple):\n    a: float\n    b: float\n"
                "def f(pair):\n    return pair.a * 2\nf(Pair(u, 2.0))\n"
            ),
            "f",
            "pair is an object of class Pair; pass `pair.a`, `pair.b` instead",
        ),
        (
            (
                "dx = 0.5\ndef grad(u):\n    return np.diff(u) / dx\n"
                "def f(u):\n    return grad(u) * 2\nf(u)\n"
            ),
            "f",
            "its helper grad reads the global `dx`; pass it as an argument",
        ),
        (
            "def f(a, b):\n    a[1:] += b[:-1]\nf(u, u)\n",
            "f",
            "it writes into `a` or `b`, which are the same memory in some calls; pass a copy",
        ),
        ("def f(u):\n    u.sum()\nf(u)\n", "f", "it returns nothing and writes into no argument"),
        ("def f(u):\n    return u > 3, 'x'\nf(u)\n", "f", "its result 1 is 'x'; a reference takes"),
        (
            "def f(u):\n    return u * 2\nf(u)\nf(u.astype('float32'))\n",
            "f",
            "`u` has dtype float32 and float64 by turns; convert it before the call",
        ),
        (
            "def f(u):\n    return u[u > 4]\nf(u)\nf(2 * u)\nf(u - 9)\n",
            "f",
            "an extent of result 0",
        ),
        ("x = u * 2\n", "<module>", "it is code outside of any function; move the loop into a"),
    ],
)
def test_the_sentence_says_why_and_what_to_write(watch, program, name, why):
    with pytest.raises(Obstacle, match=why):
        propose(watch(program)[name], 2**20)


def test_a_swap_of_attributes_becomes_a_pure_function(watch):
    seen = watch(
        "class A:\n"
        "    def step(self, c):\n"
        "        self.b[1:] = c * self.a[:-1]\n"
        "        self.a, self.b = self.b, self.a\n"
        "s = A()\ns.a, s.b = u.copy(), u.copy()\ns.step(0.5)\ns.step(0.5)\n"
    )
    proposal = propose(seen["A.step"], 2**20)
    assert proposal.mutates == ()
    assert proposal.replacement == "self.a, self.b = step_kernel(c, self.b, self.a)"
    scope = {"np": np}
    exec(re.sub(r"Float64\[[^\]]*\]", "object", proposal.text), scope)
    b, a = np.ones(4), np.arange(4.0)
    first, second = scope["step_kernel"](0.5, b, a)
    np.testing.assert_array_equal(first, [1, 0, 0.5, 1])
    np.testing.assert_array_equal(second, a)
    np.testing.assert_array_equal(b, np.ones(4))


def test_shares_of_the_time_add_up(watch):
    seen = watch(
        "def g(u):\n    import colorsys, this_is_absent\n"
        "def f(u):\n    try:\n        g(u)\n    except ImportError:\n        return u * 2\nf(u)\n"
    )
    whole = sum(one.own for one in seen.values())
    assert seen["<module>"].total == pytest.approx(whole)
    assert seen["f"].total == pytest.approx(seen["f"].own + seen["g"].own)
    assert 0 < seen["g"].own <= seen["f"].total <= whole


def test_calls_are_cut_to_the_size_of_the_recording(watch):
    seen = watch("def f(u, n):\n    return u * n\nv = np.zeros((200, 301))\nf(v, 2)\n")
    proposal = propose(seen["f"], 50_000)
    rows, columns = proposal.calls[0]["u"].shape
    assert 20_000 <= 8 * rows * columns <= 50_000
    assert proposal.workloads == {"large": {"m": 200, "k": 301, "n": 2}}


def test_the_values_that_are_recorded_are_those_before_the_call(watch):
    seen = watch("def f(u):\n    u += 1\nfor _ in range(3):\n    f(u)\n")
    starts = [call["u"][0] for call in propose(seen["f"], 2**20).calls]
    assert starts == [0, 1]  # the third is neither new in shape nor a power of two
