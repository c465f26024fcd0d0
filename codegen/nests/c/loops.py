"""The head of a sequential loop, in C and in CUDA alike."""

from __future__ import annotations

from collections.abc import Callable

from outpace.codegen.nests import walk
from outpace.codegen.nests.ir import Constant, Expression, Load, Loop, Reduce
from outpace.errors import NotLifted


def loop_head(s: Loop, text: Callable[[Expression], str], language: str) -> str:
    """`for (...)` of a loop whose bounds are read once in Python and at every round in C.

    Args:
        s: The loop.
        text: Writes an expression.
        language: For a message.

    Raises:
        NotLifted: Its end may change while it runs.
    """
    start, stop, step = (text(e) for e in (s.start, s.stop, s.step))
    for e in (s.stop, s.step):
        if walk.names_in(e) & walk.scalars_written(s.body) or any(
            isinstance(part, Load | Reduce) for part in walk.expressions(e)
        ):
            raise NotLifted(f"a loop whose end may change while it runs, in {language}")
    if not isinstance(s.step, Constant):
        test = f"{step} > 0 ? {s.name} < {stop} : {s.name} > {stop}"
        return f"for (int64_t {s.name} = {start}; {test}; {s.name} += {step})"
    number = int(s.step.value.real)
    sign = "<" if number > 0 else ">"
    forward = {1: f"{s.name}++", -1: f"{s.name}--"}.get(number, f"{s.name} += {number}")
    return f"for (int64_t {s.name} = {start}; {s.name} {sign} {stop}; {forward})"
