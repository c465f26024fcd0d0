"""Forms of a reply that some servers enforce while the model writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Enforcement(StrEnum):
    """How a server is asked to enforce a form."""

    REGEX = "structured_outputs.regex"
    """Of vLLM."""
    GRAMMAR = "grammar"
    """Of llama.cpp."""


@dataclass(frozen=True)
class Constraint:
    """A form, as one server understands it.

    Attributes:
        enforcement: How it is asked for.
        text: The expression or grammar.
    """

    enforcement: Enforcement
    text: str

    @property
    def body(self) -> dict[str, Any]:
        """What the body of the request says beyond the parameters of the API."""
        if self.enforcement is Enforcement.REGEX:
            return {"structured_outputs": {"regex": self.text}}
        return {"grammar": self.text}


def code_constraint(enforcement: Enforcement) -> Constraint:
    """The form that the probe asks for: `outpace-` and four digits."""
    texts = {
        Enforcement.REGEX: r"outpace-[0-9]{4}",
        Enforcement.GRAMMAR: 'root ::= "outpace-" [0-9] [0-9] [0-9] [0-9]',
    }
    return Constraint(enforcement, texts[enforcement])


def reply_constraint(enforcement: Enforcement, languages: Sequence[str]) -> Constraint:
    """The form of a reply with a draft: the header line and one fenced block."""
    if enforcement is Enforcement.REGEX:
        named = "|".join(languages)
        header = rf'\{{"language": "({named})", "idea": "[^"\\\n]{{3,100}}"[^\n]*\}}'
        block = r"```[a-z]{0,8}\n([^`]|`[^`]|``[^`])*\n```"
        return Constraint(enforcement, rf"{header}\n{block}")
    named = " | ".join(f'"{name}"' for name in languages)
    return Constraint(
        enforcement,
        'root ::= header "\\n```" [a-z]* "\\n" (line "\\n")+ "```"\n'
        f'header ::= "{{\\"language\\": \\"" ({named}) "\\", \\"idea\\": \\"" '
        '[^"\\\\\\n]+ "\\"" [^\\n]* "}"\n'
        "line ::= ([^`\\n] [^\\n]*)?\n",
    )
