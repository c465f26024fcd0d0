"""Where a program asks for what the simulation does not know."""

from __future__ import annotations

from typing import Any, NoReturn

from outpace.tuner.simcomm.engine import current, user_place
from outpace.tuner.simcomm.faults import Call, Unsupported


def refuse(name: str) -> NoReturn:
    """End the simulation undecided.

    Args:
        name: What was asked for, as the program has it.

    Raises:
        Stopped: On a rank.
        Unsupported: Outside of a simulation.
    """
    call = Call(name, user_place())
    fault = Unsupported(f"{name} is not supported in simulation", call=call)
    here = current()
    if here is None:
        raise fault
    here[0].fail(fault)


class Partial:
    """Stands for a class of mpi4py of which some members are not simulated."""

    def __getattr__(self, name: str) -> Any:
        if not is_mpis(name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        refuse(f"{type(self).__name__}.{name}")


def is_mpis(name: str) -> bool:
    """Whether a name that is missing here looks like one that mpi4py has."""
    return name[:1].isupper() or name in _LOWER_CASE


_LOWER_CASE = {
    *("buffer", "errhandler", "flags", "fromhandle", "fromint", "get_vendor", "group", "handle"),
    *("info", "is_topo", "memory", "pickle", "py2f", "f2py", "toint"),
    *("topology", "contents", "decode", "envelope", "combiner"),
}
