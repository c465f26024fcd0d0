"""Where a program asks for what the simulation does not know."""

from __future__ import annotations

from typing import NoReturn

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
