"""Launch plans: what a draft in CUDA asks trusted code to launch, and over which memory."""

from outpace.codegen.cuda.draft import split_plan, with_plan
from outpace.codegen.cuda.parse import parse_plan, write_plan
from outpace.codegen.cuda.plan import LaunchPlan
from outpace.codegen.cuda.resolve import (
    Action,
    ArrayArgument,
    Buffer,
    Copy,
    Declared,
    Fill,
    Launch,
    Resolved,
    ScalarArgument,
    declared,
    resolve,
)

__all__ = [
    "Action",
    "ArrayArgument",
    "Buffer",
    "Copy",
    "Declared",
    "Fill",
    "Launch",
    "LaunchPlan",
    "Resolved",
    "ScalarArgument",
    "declared",
    "parse_plan",
    "resolve",
    "split_plan",
    "with_plan",
    "write_plan",
]
