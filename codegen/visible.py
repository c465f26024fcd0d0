"""Text of drafts that people must be able to trust: what they see is what runs, and no more.

Characters that change the order in which text is shown, that have no width, or that a terminal
takes for a command would let a draft look like another one, or print a verdict of its own.
"""

from __future__ import annotations

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of controls, formats, surrogates, private and unassigned characters, and of
separators that only some programs take for the end of a line."""


def hidden_character(text: str) -> str | None:
    """The first character of a source that a reader would not see, such as `U+202E in line 3`.

    Line feeds and tabs may be in it, and carriage returns before line feeds.
    """
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.isprintable():
            for character in line:
                if character != "\t" and unicodedata.category(character) in _HIDDEN:
                    return f"U+{ord(character):04X} in line {number}"
    return None


def shown(text: str) -> str:
    r"""Text that a draft had a part in, with escapes such as `\\x1b` for what would not be seen."""
    return "".join(c if c in "\n\t" or not _is_hidden(c) else _escaped(c) for c in text)


def _is_hidden(character: str) -> bool:
    return not character.isprintable() and unicodedata.category(character) in _HIDDEN


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
