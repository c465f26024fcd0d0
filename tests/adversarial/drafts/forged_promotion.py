# expect: blocked
# class: escape
# tries: Writes a promotion of its own beside every folder above it.
# held by: Landlock allows writing in its own folder only
from pathlib import Path


def kernel(u, out):
    for folder in Path(__file__).resolve().parents:
        (folder / "promotion.json").write_text("{}")
