"""The two trees of a change: checked out aside, and what decorated functions run in each.

A tree is looked at by a process of its own (`python -c`, see `survey`), because two trees hold
modules of the same names. It is told nothing of the user's variables, and builds promotions in a
folder that both trees share, so that a kernel that is the same in both is the same code.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outpace import codec, environment
from outpace.codec import Value
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference, load_module
from outpace.codegen.structured import FlatFunction, put_together
from outpace.errors import CodecError, EnvironmentError_, OutpaceError, UsageError
from outpace.kernels import promotions as store
from outpace.kernels.promotions import StoredPromotion
from outpace.model import Contract
from outpace.tuner.ci.rule import INJECTED

SURVEY_SECONDS = 1800.0
"""After this a tree is given up whose modules do not import or whose promotions do not build."""
_SURVEY = "import sys; from outpace.tuner.ci.trees import survey; survey(sys.stdin.buffer.read())"
_LOCATION = """from outpace.tuner.ci.trees import decorated
run = decorated({path!r}, {root!r}, {file!r}, {qualname!r}, slowed={slowed!r})
"""


class Named(Value, frozen=True, order=True):
    """A decorated function by its place in a tree.

    Attributes:
        file: Path of its module, relative to the tree.
        qualname: Its qualified name there.
    """

    file: str
    qualname: str

    def __str__(self) -> str:
        return f"{self.file}:{self.qualname}"


class Serves(Value, frozen=True):
    """What a call at one workload runs: `promoted` or the reference, and why."""

    workload: str
    promoted: bool
    reason: str


class Present(Value, frozen=True):
    """A decorated function as one tree has it."""

    source_hash: str
    contract: Contract
    serves: tuple[Serves, ...]

    def at(self, workload: str) -> Serves | None:
        """What a call at this workload runs; None where the tree lacks the workload."""
        return next((s for s in self.serves if s.workload == workload), None)


class Absent(Value, frozen=True):
    """A function that a tree does not have, or that cannot be loaded there.

    Attributes:
        problem: Why, one sentence.
        gone: Whether its file, or the function in it, does not exist.
    """

    problem: str
    gone: bool = False


class _Question(Value, frozen=True):
    """What a surveying process is asked."""

    tree: str
    path: tuple[str, ...]
    functions: tuple[Named, ...]
    answer: str
    """File for the answer: what modules print goes elsewhere."""


class _Answer(Value, frozen=True):
    """What it finds, in the order of the functions."""

    found: tuple[Present | Absent, ...]


@dataclass(frozen=True)
class Tree:
    """One commit, checked out.

    Attributes:
        commit: Its full hash.
        folder: Where it is.
        home: Where its processes keep builds.
        path: Where they import from.
    """

    commit: str
    folder: Path
    home: Path
    path: tuple[str, ...]

    def look_at(self, functions: Sequence[Named]) -> dict[Named, Present | Absent]:
        """What these functions are here, and what a call of them runs at every workload.

        Raises:
            EnvironmentError_: The process that looks fails.
        """
        file = self.folder.parent / "answer.json"
        question = _Question(str(self.folder), self.path, tuple(functions), str(file))
        variables = environment.worker_environment(HOME=str(self.home))
        path = [str(Path(entry).absolute()) for entry in sys.path]
        code = f"import sys; sys.path[:] = {path!r}; {_SURVEY}"
        try:
            subprocess.run(
                [sys.executable, "-I", "-c", code],
                input=codec.encode(question),
                capture_output=True,
                check=True,
                cwd=self.home,
                env=variables,
                timeout=SURVEY_SECONDS,
            )
            answer = codec.decode(file.read_bytes(), _Answer)
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise EnvironmentError_(f"{self.commit[:12]} cannot be looked at: {said}") from error
        except (OSError, subprocess.TimeoutExpired, CodecError) as error:
            raise EnvironmentError_(f"{self.commit[:12]} cannot be looked at: {error}") from error
        return dict(zip(functions, answer.found, strict=True))

    def location(self, name: Named, *, slowed: bool = False) -> tuple[str, str]:
        """Where a process finds what a call of the function runs in this tree.

        With `slowed`, every call takes a tenth longer.
        """
        text = _LOCATION.format(
            path=list(self.path),
            root=str(self.folder),
            file=name.file,
            qualname=name.qualname,
            slowed=slowed,
        )
        kind = "slowed" if slowed else "called"
        digest = codec.content_hash(name)
        path = self.folder.parent / f"outpace_{kind}_{digest}.py"
        path.write_text(text, encoding="utf-8")
        return str(path), "run"


def promotions_in(
    root: Path, below: Path | None = None
) -> tuple[dict[Named, list[StoredPromotion]], dict[str, str]]:
    """Promotions by function, and why others are passed over, by folder relative to the root.

    Args:
        root: Names are relative to it.
        below: Where to look; None for the root.

    Raises:
        UsageError: There is no such folder.
    """
    root = root.resolve()
    found: dict[Named, list[StoredPromotion]] = {}
    passed_over: dict[str, str] = {}
    for folder in store.folders_under([below or root]):
        within = str(folder.relative_to(root))
        try:
            stored = store.read(folder)
        except (OutpaceError, OSError) as error:
            passed_over[within] = str(error).replace(f"{root}/", "")
            continue
        module, _, qualname = stored.promotion.reference.partition(":")
        file = folder.parents[2] / f"{module.rpartition('.')[2]}.py"
        if file.is_file() and file.is_relative_to(root):
            found.setdefault(Named(str(file.relative_to(root)), qualname), []).append(stored)
        else:
            passed_over[within] = f"{within}: there is no module of its function beside it"
    return found, passed_over


# --- Checking out -------------------------------------------------------------------------------


@contextmanager
def checked_out(
    repository: Path, base: str, head: str, workplace: Path
) -> Iterator[tuple[Tree, Tree]]:
    """Both commits in folders of their own, without what is not committed.

    Args:
        repository: Any folder of a git repository.
        base: A commit, branch or tag.
        head: The same.
        workplace: An empty folder for the trees and for their builds.

    Raises:
        UsageError: No repository, or no such commit in it.
    """
    root = Path(_git(repository, "rev-parse", "--show-toplevel"))
    commits = [_commit(root, name) for name in (base, head)]
    home = workplace / "home"
    home.mkdir()
    trees = []
    try:
        for folder, commit in zip(("base", "head"), commits, strict=True):
            # A package at the top of the repository is known by the name of the folder.
            place = workplace / folder / root.name
            _git(root, "worktree", "add", "--detach", "--force", str(place), commit)
            trees.append(Tree(commit, place, home, _path_in(place, root)))
        yield trees[0], trees[1]
    finally:
        for tree in trees:
            _git(root, "worktree", "remove", "--force", str(tree.folder))


def _commit(root: Path, name: str) -> str:
    try:
        return _git(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
    except UsageError:
        raise UsageError(
            f"{root} has no commit {name!r}; in a shallow clone fetch it first: "
            f"git fetch --depth=1 origin {name}"
        ) from None


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; raises UsageError with its last words."""
    try:
        done = subprocess.run(
            # Git is where the user has it; hooks could do anything to the trees.
            ["git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError as error:
        raise EnvironmentError_("git is not installed, or not on PATH") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().rpartition("\n")[2]
        raise UsageError(f"git {arguments[0]} in {folder} fails: {said}") from error
    return done.stdout.strip()


def _path_in(tree: Path, root: Path) -> tuple[str, ...]:
    """The import path, with folders of the repository replaced by those of the tree."""
    found = []
    for entry in map(Path, sys.path):
        absolute = entry.absolute()
        if absolute.is_relative_to(root) and (tree / absolute.relative_to(root)).is_dir():
            absolute = tree / absolute.relative_to(root)
        found.append(str(absolute))
    return tuple(found)


# --- Within a tree ------------------------------------------------------------------------------


def survey(question: bytes) -> None:
    """Answer what `Tree.look_at` asks."""
    asked = codec.decode(question, _Question)
    sys.path[:] = asked.path
    found = tuple(_looked_at(Path(asked.tree), name) for name in asked.functions)
    Path(asked.answer).write_bytes(codec.encode(_Answer(found)))


def _looked_at(tree: Path, name: Named) -> Present | Absent:
    try:
        if not (tree / name.file).is_file():
            return Absent(f"there is no file {name.file}", gone=True)
        function = function_named(tree, name)
        if function is None:
            return Absent(f"{name.file} has no {name.qualname}", gone=True)
        reference: Reference = function.reference
        contract = reference.contract
        serves = []
        for workload in contract.workloads:
            values = draw_inputs(reference, Case.of_workload(workload, 0))
            given = bound(reference, values)
            told = function.explain(*given.args, **given.kwargs)
            reason = told.reason.replace(f"{tree}/", "")
            serves.append(Serves(workload.name, told.promotion is not None, reason))
        return Present(reference.source_hash, contract, tuple(serves))
    except OutpaceError as error:
        return Absent(str(error).replace(f"{tree}/", ""))
    except Exception as error:  # noqa: BLE001  (the user's code may raise anything)
        return Absent(f"{type(error).__name__}: {error}")


def function_named(root: Path, name: Named) -> Any:
    """What a module defines under this name, or None.

    Raises:
        ReferenceError_: The module cannot be imported.
    """
    found: Any = load_module(str(root / name.file))
    for part in name.qualname.split("."):
        found = getattr(found, part, None)
    return found


def bound(reference: Reference, values: Mapping[str, Any]) -> inspect.BoundArguments:
    """Arguments of the contract by name, as a call of the function takes them."""
    signature = inspect.signature(reference.written)
    kinds = [p.kind for p in signature.parameters.values()]
    first = sum(kind is not inspect.Parameter.KEYWORD_ONLY for kind in kinds)
    given = list(put_together(reference.structures, values).items())
    return signature.bind(*(v for _, v in given[:first]), **dict(given[first:]))


def decorated(
    path: Sequence[str], root: str, file: str, qualname: str, *, slowed: bool
) -> Callable[..., Any]:
    """What a process that is timed calls: the decorated function, whatever that runs.

    Args:
        path: Where it imports from.
        root: The tree.
        file: Of its module, relative to the tree.
        qualname: Its name there.
        slowed: Add a tenth of its own time to every call.
    """
    sys.path[:] = path
    function = function_named(Path(root), Named(file, qualname))
    clock = time.perf_counter

    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    def call_slowly(*args: Any, **kwargs: Any) -> Any:
        begin = clock()
        returned = function(*args, **kwargs)
        end = begin + INJECTED * (clock() - begin)
        while clock() < end:
            pass
        return returned

    chosen = call_slowly if slowed else call
    chosen.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    structures = function.reference.structures
    return FlatFunction(chosen, structures) if structures else chosen
