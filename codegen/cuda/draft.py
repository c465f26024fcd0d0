"""How a draft in CUDA carries its launch plan: in the first line of its source, as a comment.

A draft file has the plan in its header line, under the key `plan`. `Draft.source` has it in place
of that line, `// plan: {...}`, so that the lines below keep their numbers and the plan counts in
the draft's hash.
"""

from __future__ import annotations

import json
from typing import Any

from outpace.codegen.cuda.parse import parse_plan, write_plan
from outpace.codegen.cuda.plan import LaunchPlan
from outpace.errors import DraftError

_OPENING = "// plan: "


def with_plan(plan: LaunchPlan, code: str) -> str:
    """The source of a draft: its plan in one line, then device code."""
    return f"{_OPENING}{json.dumps(write_plan(plan))}\n{code}"


def split_plan(source: str) -> tuple[LaunchPlan, str]:
    """The plan in the source of a draft, and its device code.

    Raises:
        DraftError: There is no plan, or it is malformed.
    """
    first, _, code = source.partition("\n")
    if not first.startswith(_OPENING):
        raise DraftError(
            'a draft in CUDA needs a launch plan: begin it with `// outpace: {"plan": {"steps": '
            '[{"launch": "kernel", "grid": ["ceildiv(n, 256)"], "block": [256], "arguments": '
            '["x", "out", "n"]}]}}`'
        )
    try:
        return parse_plan(json.loads(first[len(_OPENING) :])), code
    except (ValueError, RecursionError) as error:
        raise DraftError(f"the launch plan is not JSON: {error}") from error


def planned(source: str) -> tuple[dict[str, Any], str] | None:
    """The plan as JSON, and the device code, if `with_plan` gives this source for them."""
    try:
        plan, code = split_plan(source)
    except DraftError:
        return None
    return (write_plan(plan), code) if with_plan(plan, code) == source else None
