"""Compiling the kernel in C that a draft for MPI ranks holds, before any rank loads the draft."""

from __future__ import annotations

from pathlib import Path

from outpace.codegen.mpi.embedded import SOURCE
from outpace.model import Contract, Grade, Variant
from outpace.tuner.evaluate import BUILD_LIMIT
from outpace.tuner.process import Worker

_NO_ARRAYS = (1, 1)
"""Bytes of arenas that a build does not look at."""


def build_kernel(contract: Contract, folder: Path, variant: Variant, lowest: Grade) -> None:
    """Compile into the folder `build` beside the bound draft, in a confined process.

    That process may start the compiler; it runs nothing of the draft. A draft without such a kernel
    starts none.

    Args:
        contract: Of the reference.
        folder: Holds the bound draft.
        variant: In the language `mpi`.
        lowest: Grade of isolation below which nothing of the draft is run.

    Raises:
        Failure: It does not compile.
        EnvironmentError_: The process could not be set up.
    """
    if SOURCE not in variant.draft.source:
        return
    with Worker(
        contract,
        folder,
        _NO_ARRAYS,
        variant=variant,
        building=True,
        lowest=lowest,
        start_limit=BUILD_LIMIT,
    ):
        pass  # it has built when it is ready
