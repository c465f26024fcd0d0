"""Writing proposals: the module of references, its recordings, the change to the user's files."""

from __future__ import annotations

import ast
import difflib
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from outpace.codegen.capture.proposal import Proposal
from outpace.codegen.capture.reading import Obstacle
from outpace.codegen.capture.watching import Seen
from outpace.codegen.recorded import write_calls

_ALWAYS = {"np": "import numpy as np", "outpace": "import outpace as outpace"}


class Module:
    """References that can stand in one module, added one by one."""

    def __init__(self, script: Path) -> None:
        self.script = script
        self.proposals: list[Proposal] = []
        self._names: dict[str, str] = dict(_ALWAYS)

    @property
    def file(self) -> str:
        """Name of the module's file."""
        return f"{_stem(self.script)}_references.py"

    @property
    def folder(self) -> str:
        """Name of the folder of its recordings, beside it."""
        return f"{_stem(self.script)}_recorded"

    def add(self, proposal: Proposal) -> None:
        """Add a reference with its helpers and imports; see `refuse_conflict`."""
        self._names |= _meanings(proposal)
        self.proposals.append(proposal)

    def refuse_conflict(self, proposal: Proposal) -> None:
        """Raise Obstacle if a name of a reference means something else here already."""
        for name, meaning in _meanings(proposal).items():
            if self._names.get(name, meaning) != meaning:
                raise Obstacle(f"`{name}` means something else in another reference; rename it")

    def covers(self, seen: Seen) -> bool:
        """Whether a function is a helper of a reference in this module."""
        return any(
            p.seen.reading is not None and seen.qualname in p.seen.reading.helpers
            for p in self.proposals
        )

    def text(self) -> str:
        """The module as source."""
        readings = [p.seen.reading for p in self.proposals if p.seen.reading is not None]
        imports = {**_ALWAYS, **{n: s for r in readings for n, s in r.imports.items()}}
        helpers = {n: t for r in readings for n, t in r.helpers.items()}
        taken = {p.name for p in self.proposals}
        definitions = [text for name, text in helpers.items() if name not in taken]
        references = "\n\n".join(_decorated(p, self.folder) for p in self.proposals)
        kinds = sorted(set(re.findall(r"\b(\w+)\[np\.ndarray", references)))
        lines = sorted({_short(statement) for statement in imports.values()})
        lines += [f"from jaxtyping import {', '.join(kinds)}"] if kinds else []
        head = (
            f'"""Hot functions of {self.script.name} as references for outpace.\n\n'
            "Proposed by `outpace init` from one run; read the dims and workloads, they are yours "
            'to correct.\n"""\n\n'
        )
        return head + "\n".join(lines) + "\n\n\n" + "\n\n".join([*definitions, references])

    def write(self, folder: Path) -> Path:
        """Write the module and its recordings; the path of the module."""
        for proposal in self.proposals:
            write_calls(folder / self.folder / f"{proposal.name}.npz", proposal.calls)
        path = folder / self.file
        path.write_text(self.text(), encoding="utf-8")
        return path

    def change(self, base: Path) -> str:
        """A unified diff that makes the user's files call the references; `patch -p0` takes it.

        Args:
            base: The folder that the names of the files are relative to.
        """
        parts = []
        for file in dict.fromkeys(p.seen.file for p in self.proposals):
            path = Path(file)
            mine = [p for p in self.proposals if p.seen.file == file]
            before = path.read_text(encoding="utf-8")
            after = _changed(before, mine, self.file.removesuffix(".py"))
            name = str(path.relative_to(base)) if path.is_relative_to(base) else file
            lines = difflib.unified_diff(
                before.splitlines(keepends=True), after.splitlines(keepends=True), name, name
            )
            parts.append("".join(lines))
        return "".join(parts)


def _stem(script: Path) -> str:
    """The script's name as an identifier, so that the module can be imported."""
    name = re.sub(r"\W", "_", script.stem)
    return name if name.isidentifier() else f"_{name}"


def _meanings(proposal: Proposal) -> dict[str, str]:
    """What each name that a reference needs stands for."""
    reading = proposal.seen.reading
    assert reading is not None
    return {**reading.imports, **reading.helpers, proposal.name: proposal.text}


def _short(statement: str) -> str:
    """Without `as` where it gives the same name."""
    return re.sub(r"(?<= )(\w+) as \1$", r"\1", statement)


def _decorated(proposal: Proposal, folder: str) -> str:
    lines = ["@outpace.optimize("]
    lines.append("    workloads={")
    for name, sizes in proposal.workloads.items():
        held = ", ".join(f'"{n}": {v}' for n, v in sizes.items())
        lines.append(f'        "{name}": {{{held}}},')
    lines.append("    },")
    lines.append(f'    inputs=outpace.Recorded("{folder}/{proposal.name}.npz"),')
    if proposal.mutates:
        held = ", ".join(f'"{n}"' for n in proposal.mutates)
        lines.append(f"    mutates=({held},),")
    notes = [line for note in proposal.notes for line in textwrap.wrap(note, 96)]
    return "\n".join([*(f"# {line}" for line in notes), *lines, ")", proposal.text])


def _changed(text: str, proposals: Sequence[Proposal], module: str) -> str:
    """A file whose functions are, or call, references."""
    lines = text.splitlines()
    tree = ast.parse(text)
    imported = []
    for proposal in sorted(proposals, key=lambda p: -p.seen.line):
        node = _function_at(tree, proposal.seen.line)
        statement = f"from {module} import {proposal.name}"
        end = node.end_lineno or node.lineno
        if proposal.replacement is None:
            lines[node.lineno - 1 : end] = [statement]
            continue
        imported.append(statement)
        has_docstring = ast.get_docstring(node) is not None and len(node.body) > 1
        first = node.body[1 if has_docstring else 0]
        head, indent = [], " " * first.col_offset
        if first.lineno == node.lineno:  # all on one line
            head = [lines[node.lineno - 1][: first.col_offset].rstrip()]
            indent = " " * (node.col_offset + 4)
        body = [indent + statement for statement in proposal.replacement.splitlines()]
        lines[first.lineno - 1 : end] = [*head, *body]
    place = _after_imports(tree)
    lines[place:place] = sorted(imported)
    return "\n".join(lines) + "\n"


def _function_at(tree: ast.Module, line: int) -> ast.FunctionDef:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.lineno == line:
            return node
    raise Obstacle(f"line {line} is no function any more; the file changed while it ran")


def _after_imports(tree: ast.Module) -> int:
    """Number of the line after the imports at the top, or after the docstring."""
    place = 0
    for node in tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom) and not (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            break
        place = node.end_lineno or place
    return place
