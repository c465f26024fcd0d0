"""The shapes in which examples are written; apart, because a command line needs no more."""

from enum import StrEnum


class Format(StrEnum):
    """Which of TRL's trainers is to read the examples."""

    SFT = "sft"
    PREFERENCE = "preference"
    KTO = "kto"
