import ast
import functools
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("codegen", "kernels", "tuner")
TOP_LEVEL = {
    ".ci",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "MANIFEST.in",
    "Makefile",
    "README.md",
    "action.yml",
    "benchmarks",
    "docs",
    "examples",
    "pyproject.toml",
    "src",
    "tests",
    *ROOMS,
}
FLOORS = {
    "codec": 0,
    "model": 0,
    "roofline": 0,
    "split": 0,
    "errors": 0,
    "environment": 0,
    "codegen": 1,
    "kernels": 2,
    "tuner": 3,
}
TOP_FLOOR = 4
"""Imports go to the same floor or a lower one; `outpace` itself and the cli are on the top one."""


def listed_files():
    """Everything git tracks or would track, relative to the root."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-coz", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(Path(name) for name in listing.split("\0") if name and (ROOT / name).exists())


FILES = listed_files()
PYTHON = [path for path in FILES if path.suffix == ".py"]
PRODUCT = [path for path in PYTHON if path.parts[0] in (*ROOMS, "src")]


@functools.cache
def syntax(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def nodes(paths):
    return ((path, node) for path in paths for node in ast.walk(syntax(path)))


def assert_none(found):
    lines = sorted(map(str, found))
    assert not lines, "\n".join(["found:", *lines])


def test_the_scan_sees_the_rooms():
    assert {Path("src/outpace/model.py"), Path("codegen/contract.py")} <= set(PRODUCT)
    assert {path.parts[0] for path in PRODUCT} == {"src", *ROOMS}


def test_no_file_is_over_500_lines():
    source = {".py", ".c", ".h", ".cu", ".sh", ".toml", ".md"}
    lengths = {
        path: len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in FILES
        if path.suffix in source
    }
    assert_none(f"{path}: {lines} lines" for path, lines in lengths.items() if lines > 500)


def test_no_function_is_over_60_lines():
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path, node in nodes(PYTHON)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and code_lines(node) > 60
    ]
    assert_none(long)


def code_lines(function):
    """Lines from `def` to the end, the docstring aside: documentation is not complexity."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - (docstring.end_lineno - docstring.lineno + 1)


def floor(module):
    """The floor of a module or name of `outpace`."""
    room = module.split(".")[1] if "." in module else ""
    return FLOORS.get(room, TOP_FLOOR)


def module_name(path):
    parts = path.with_suffix("").parts
    parts = ("outpace", *parts) if parts[0] in ROOMS else parts[1:]
    return ".".join(part for part in parts if part != "__init__")


def imported_modules(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module == "outpace":
        return [f"outpace.{alias.name}" for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return ["." * node.level + (node.module or "")]
    return []


def test_imports_run_one_way():
    wrong = [
        f"{path}:{node.lineno} imports {module}"
        for path, node in nodes(PRODUCT)
        # The reference library is written as a user would write it: against the public face.
        if path.parts[:2] != ("kernels", "library")
        for module in imported_modules(node)
        if module.split(".")[0] == "outpace" and floor(module) > floor(module_name(path))
    ]
    assert_none(wrong)


def test_the_reference_library_needs_no_tuner():
    library = [path for path in PRODUCT if path.parts[:2] == ("kernels", "library")]
    wrong = [
        f"{path}:{node.lineno} imports {module}"
        for path, node in nodes(library)
        for module in imported_modules(node)
        if module.startswith(("outpace.tuner", "outpace.cli"))
    ]
    assert_none(wrong)


def test_imports_are_absolute():
    wrong = [
        f"{path}:{node.lineno}"
        for path, node in nodes(PYTHON)
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert_none(wrong)


def test_one_module_reads_the_environment():
    readers = {
        path
        for path, node in nodes(PRODUCT)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and any(alias.name in {"environ", "environb", "getenv"} for alias in node.names)
        )
    }
    assert readers == {Path("src/outpace/environment.py")}


def test_no_file_is_over_2_megabytes():
    large = [path for path in FILES if (ROOT / path).lstat().st_size > 2 * 2**20]
    assert_none(large)


def defined_names(node):
    """Names that a piece of syntax introduces; names of other libraries are theirs."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.arg():
            return [node.arg]
        case ast.alias(asname=str(name)):
            return [name]
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            return [name]
    return []


def words(name):
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


AVOIDED = {"trace", "traces", "schedule", "schedules"}


@pytest.mark.parametrize(
    ("name", "avoided"),
    [("trace_file", True), ("LoopSchedule", True), ("TRACE", True), ("retraced", False)],
)
def test_words_are_told_apart(name, avoided):
    assert bool(words(name) & AVOIDED) is avoided


def test_names_avoid_the_words_trace_and_schedule():
    wrong = [
        f"{path}:{getattr(node, 'lineno', '?')} {name}"
        for path, node in nodes(PRODUCT)
        for name in defined_names(node)
        if words(name) & AVOIDED
    ]
    wrong += [str(path) for path in FILES if words(path.stem) & AVOIDED]
    assert_none(wrong)


def test_every_package_says_what_it_is():
    packages = [path for path in PRODUCT if path.name == "__init__.py"]
    assert {Path(room, "__init__.py") for room in ROOMS} <= set(packages)
    assert_none(path for path in packages if not ast.get_docstring(syntax(path)))


def test_the_top_level_holds_nothing_unexpected():
    assert_none({path.parts[0] for path in FILES} - TOP_LEVEL)
