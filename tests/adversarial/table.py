"""Writes docs/hostile-drafts.md, the table of all hostile drafts.

python tests/adversarial/table.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from corpus import CLASSES, CORPUS, HERE, Hostile

TABLE = HERE.parents[1] / "docs" / "hostile-drafts.md"
_INTRODUCTION = """\
# Hostile drafts

Each of these files is a draft that cheats, breaks, or tries to get out. Every test run sends all of
them through the real judge (`tests/adversarial/test_corpus.py`), and each must get exactly the
verdict that stands here. None may be promoted. Two honest drafts, one in each language, must be, so
that the judge cannot pass by refusing everything.

This page is written by `python tests/adversarial/table.py` from the headers of the drafts.
[How a draft is judged](judging.md) explains what holds them.
"""
_MEANINGS = {
    "timing": "to seem faster than it is",
    "harness": "to reach, recognise or confuse what judges it",
    "replay": "to give an earlier answer again",
    "semantics": "to be wrong where nobody looks",
    "crash": "to end before it is judged",
    "hang": "to never end",
    "limits": "to take all there is",
    "escape": "to reach what is not its own",
    "leftovers": "to leave something behind",
}


def table() -> str:
    """The text of the page."""
    counts = {suffix: sum(d.path.suffix == suffix for d in CORPUS) for suffix in (".py", ".c")}
    parts = [_INTRODUCTION, f"{counts['.py']} drafts in Python, {counts['.c']} in C.\n"]
    for kind in CLASSES:
        drafts = [draft for draft in CORPUS if draft.kind == kind]
        parts.append(f"## {kind.capitalize()}: {_MEANINGS[kind]}\n")
        parts.append("| file | tries | verdict | held by |\n|---|---|---|---|")
        parts.append("\n".join(map(_row, drafts)) + "\n")
    return "\n".join(parts)


def _row(draft: Hostile) -> str:
    cells = (f"`{draft.path.name}`", draft.tries, f"`{draft.expect}`", draft.held)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
