"""Small drafts in CUDA, right and wrong, and what their headers say the simulation must find."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Planted:
    """One draft.

    Attributes:
        path: Its file.
        reference: Name of the function in `cuda_references.py` that it is a draft of.
        expect: Value of the status that checking it must give.
        says: What the reason must hold.
        is_long: Whether it is left to the long suite.
    """

    path: Path
    reference: str
    expect: str
    says: str
    is_long: bool


def read(path: Path) -> Planted:
    """A draft by the `// key: value` lines below its first; KeyError if one is missing."""
    header: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        key, colon, value = line.removeprefix("// ").partition(": ")
        if not line.startswith("// ") or not colon:
            break
        header[key] = value
    is_long = header.get("when") == "soak"
    return Planted(path, header["reference"], header["expect"], header.get("says", ""), is_long)


CORPUS = tuple(read(path) for path in sorted((HERE / "drafts").glob("*.cu")))
