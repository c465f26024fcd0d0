"""What NumPy makes a view, and what it copies, where that is seen: lifted rightly or refused."""

from __future__ import annotations

import ir_interpreter
import pytest
from test_lifting import SHAPES, agrees, body_of, reference_of

from outpace.codegen.nests.lift import lift
from outpace.errors import NotLifted

LIFTED = {
    "a new array under another shape": """
        h = (a - b) * 2
        flat = h.reshape(-1)
        flat += 1
        return h
        """,
    "computed from rows backwards": """
        h = a[::-1] - b
        flat = h.ravel()
        flat[:1] = 5
        return h
        """,
    "read only, transposed and under another shape": """
        h = (a - b).T * 2
        flat = h.reshape(-1)
        return flat.reshape(m, n).T + b
        """,
    "read only, a part under another shape": """
        h = a * 2
        flat = h[1:].reshape(-1)
        return h + flat.sum()
        """,
    "einsum that exchanges axes": """
        h = a * 2
        turned = np.einsum("ij->ji", h)
        turned[:1] = 5
        return h
        """,
    "a copy that a plus sign makes": """
        h = a * 2
        plus = +h
        plus[:1] = 5
        return plus - h
        """,
    "a helper that gives back what it got": """
        s = 1
        for j in range(n):
            s = s + 1 if j > 1 else s
        t = a * 2
        h = picked(t, b, s)
        return t + h
        """,
}
BACKWARDS = """
        flat = h.reshape(-1)
        flat += 1
        return h * 1
        """
REFUSED = {
    "rows backwards": "h = (a - b)[::-1]",
    "columns backwards": "h = np.flip(a - b, axis=1)",
    "transposed": "h = (a - b).T",
    "computed from what is transposed": "h = a.T * 2",
    "like what is transposed": "h = np.zeros_like(a.T)",
    "a part": "h = (a - b)[:, 1:]",
    "columns by their numbers": "h = a[:, np.arange(m)]",
    "axes exchanged by einsum": "h = np.einsum('ij->ji', a) * 2",
    "in a branch": "s = 3\n        for j in range(n):\n            s = s + 1\n"
    "        if s > 4:\n            h = a * 3\n        else:\n            h = (a - b)[::-1]",
    "in a loop": "h = a * 1\n        for j in range(n):\n            h = (a - b)[::-1]",
}
"""Statements after which another shape of `h` is a copy, or may be one."""
WRITTEN = """
        flat = a[1:].reshape(-1)
        flat += 1
        return a * 2
        """
GIVEN_BACK = {
    "what a helper gave back is written": """
        h = picked(t, b, s)
        h[:1] = 5
        return t + h
        """,
    "what a helper got is written": """
        h = picked(t, b, s)
        t[:1] = 5
        return t + h
        """,
    "another shape of it is written": """
        h = picked(t, b, s)
        flat = h.reshape(-1)
        flat += 1
        return t + h
        """,
    "a variable that a function inside gave back is written": """
        def chosen(k):
            if k > 1:
                return t
            return a * 3
        h = chosen(s)
        t[:1] = 5
        return t + h
        """,
    "a helper that may not start its loop": """
        h = doubled(t, s)
        h[:1] = 5
        return t + h
        """,
}
COUNTED = """
        s = 0
        for j in range(n):
            s = s + 1 if j > 1 else s
        t = a * 2
        """
DOUBLED = """
def doubled(x, times):
    for k in range(times):
        x = x * 2
    return x
"""


@pytest.mark.parametrize("name", LIFTED)
def test_views_and_copies_that_are_lifted(name, tmp_path):
    reference = reference_of(body_of(LIFTED[name]), tmp_path)
    program = lift(reference)
    ran = [
        agrees(reference, lambda *a: ir_interpreter.run(program, *a), k, shape)
        for k, shape in enumerate(SHAPES)
    ]
    assert any(ran)


@pytest.mark.parametrize("name", REFUSED)
def test_another_shape_of_what_is_not_in_order_is_not_written(name, tmp_path):
    text = body_of(f"\n        {REFUSED[name]}{BACKWARDS}")
    with pytest.raises(NotLifted, match="may be a view or a copy"):
        lift(reference_of(text, tmp_path))


def test_another_shape_of_a_part_of_an_argument_is_not_written(tmp_path):
    with pytest.raises(NotLifted, match="may be a view or a copy"):
        lift(reference_of(body_of(WRITTEN), tmp_path))


@pytest.mark.parametrize("name", GIVEN_BACK)
def test_what_a_helper_may_give_back_is_not_written(name, tmp_path):
    text = DOUBLED + body_of(COUNTED.rstrip(" ") + GIVEN_BACK[name].lstrip("\n"))
    with pytest.raises(NotLifted) as refusal:
        lift(reference_of(text, tmp_path))
    assert refusal.value.line is not None
