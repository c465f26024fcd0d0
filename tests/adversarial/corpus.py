"""The hostile drafts, and what their headers say about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CLASSES = (
    "timing",
    "harness",
    "replay",
    "semantics",
    "crash",
    "hang",
    "limits",
    "escape",
    "leftovers",
)
_LANGUAGES = {".py": "numba", ".c": "c"}


@dataclass(frozen=True)
class Hostile:
    """One draft.

    Attributes:
        path: Its file.
        expect: Value of the status that judging it must give.
        kind: Its class, one of `CLASSES`.
        tries: What it tries, in one sentence.
        held: What holds it.
        reference: Name of the function in `reference.py` that it pretends to speed up.
    """

    path: Path
    expect: str
    kind: str
    tries: str
    held: str
    reference: str

    @property
    def language(self) -> str:
        """The language it is written in."""
        return _LANGUAGES[self.path.suffix]


def read(path: Path) -> Hostile:
    """A draft by the `# key: value` lines at its head; KeyError if one is missing."""
    header: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("//").removeprefix("#").strip()
        key, colon, value = text.partition(": ")
        if line == text or not colon:
            break
        header[key] = value
    if header["class"] not in CLASSES:
        raise KeyError(f"{path.name} is of the unknown class {header['class']}")
    return Hostile(
        path,
        header["expect"],
        header["class"],
        header["tries"],
        header["held by"],
        header.get("reference", "smooth"),
    )


CORPUS = tuple(
    read(path) for path in sorted((HERE / "drafts").iterdir()) if path.suffix in _LANGUAGES
)
