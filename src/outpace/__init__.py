"""Drafts, checks, times and promotes faster kernels for annotated Python reference code.

Everything public is here; each name is imported when it is first used, so that `import outpace`
costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outpace.codegen.distributions import Choice, Constant, Integers, Normal, Uniform
    from outpace.codegen.recorded import Recorded
    from outpace.errors import OutpaceError
    from outpace.kernels.optimize import optimize, reference
    from outpace.kernels.usage import Used, used
    from outpace.model import Contract, Draft, Promotion, Status, Tolerance, Trial
    from outpace.split import Block, Boundary, Combination, Pencil, Reduced, Replicated, Ring
    from outpace.tuner.api import judge, tune

    __version__: str

__all__ = [
    "Block",
    "Boundary",
    "Choice",
    "Combination",
    "Constant",
    "Contract",
    "Draft",
    "Integers",
    "Normal",
    "OutpaceError",
    "Pencil",
    "Promotion",
    "Recorded",
    "Reduced",
    "Replicated",
    "Ring",
    "Status",
    "Tolerance",
    "Trial",
    "Uniform",
    "Used",
    "__version__",
    "judge",
    "optimize",
    "reference",
    "tune",
    "used",
]

_HOMES = {
    "outpace.codegen.distributions": ("Choice", "Constant", "Integers", "Normal", "Uniform"),
    "outpace.codegen.recorded": ("Recorded",),
    "outpace.errors": ("OutpaceError",),
    "outpace.kernels.optimize": ("optimize", "reference"),
    "outpace.kernels.usage": ("Used", "used"),
    "outpace.model": ("Contract", "Draft", "Promotion", "Status", "Tolerance", "Trial"),
    "outpace.split": (
        *("Block", "Boundary", "Combination", "Pencil", "Reduced", "Replicated", "Ring"),
    ),
    "outpace.tuner.api": ("judge", "tune"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    import importlib  # noqa: PLC0415

    if name == "__version__":
        import importlib.metadata  # noqa: PLC0415  (costs 40 ms)

        value: Any = importlib.metadata.version("outpace")
    elif name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
