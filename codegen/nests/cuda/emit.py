"""Write a program as CUDA C++ device source with a launch plan.

A nest outside all others is a kernel: a thread for each of its iterations, or a block whose threads
share the work inside one. Loops around nests are repeated by the plan, exchanged buffers by it too.
What is sequential, and short for that, is done by one thread. Reductions outside nests take two
kernels, of which the first leaves one value a block; no sum depends on the order in which blocks
run. What a tuner may choose stands in the file as macros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from outpace.codegen.cuda.expressions import RESERVED as PLAN_NAMES
from outpace.codegen.cuda.plan import LaunchPlan
from outpace.codegen.nests.c.names import spelled
from outpace.codegen.nests.cuda.names import RESERVED
from outpace.codegen.nests.cuda.parameters import CHOICES, WHEN, constraints
from outpace.codegen.nests.cuda.steps import Steps
from outpace.codegen.nests.ir import Program
from outpace.errors import NotLifted
from outpace.model import Contract, Parameter

EXACT_FLAGS = {"--fmad": False}
"""Options with which products and sums are rounded one by one, as NumPy does."""


@dataclass(frozen=True)
class CudaOptions:
    """How to write and compile.

    Attributes:
        rows: Let a block do one iteration of a nest where there is work inside to share.
        reorder: Allow sums to be reordered and multiplications to be contracted.
    """

    rows: bool = False
    reorder: bool = True


@dataclass(frozen=True)
class CudaSource:
    """A draft in CUDA.

    Attributes:
        text: Device source.
        plan: What is launched.
        parameters: Macros that the text and the plan use, with the values worth trying.
        constraints: What must hold of them.
        flags: Options of the compiler.
    """

    text: str
    plan: LaunchPlan
    parameters: tuple[Parameter, ...]
    constraints: tuple[str, ...]
    flags: Mapping[str, bool]


def cuda_source(program: Program, contract: Contract, options: CudaOptions) -> CudaSource:
    """A file of kernels, and the plan that launches them.

    Raises:
        NotLifted: Something in the program has no counterpart in CUDA or in a plan.
    """
    taken = {part.name for part in contract.parts} | set(contract.dims)
    for name in sorted(taken & (set(CHOICES) | PLAN_NAMES)):
        raise NotLifted(f"{name}, which is the name of something else in launch plans, in CUDA")
    program = spelled(program, RESERVED)
    steps = Steps(program, contract, rows=options.rows, reorder=options.reorder)
    plan = steps.plan()
    return CudaSource(
        "\n\n".join([*steps.functions.sources, *steps.kernels]) + "\n",
        plan,
        tuple(Parameter(n, CHOICES[n], WHEN.get(n)) for n in CHOICES if n in steps.choices),
        (*constraints(steps.choices), *steps.constraints),
        {} if options.reorder else EXACT_FLAGS,
    )
