"""Finding and loading references the way people write them: files, packages, notebooks."""

from __future__ import annotations

import importlib
import linecache
import signal
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import outpace
from outpace.codegen.inputs import draw_cases
from outpace.codegen.reference import (
    Reference,
    ReferenceOptions,
    load_function,
    load_module,
    load_reference,
)
from outpace.errors import ContractError, ReferenceError_

DECORATED = """
    import numpy as np
    from jaxtyping import Float64
    import outpace

    @outpace.optimize(workloads={"w": {"n": 4}})
    def twice(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        return u * FACTOR

    FACTOR = 2
"""


@pytest.fixture(autouse=True)
def _same_modules_and_path(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def write(tmp_path):
    def writer(name, text=DECORATED):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        return path

    return writer


def works(spec, factor=2):
    found = load_reference(str(spec))
    assert found.fn(np.ones(2)).tolist() == [factor, factor]
    assert load_function(*found.importable())(np.ones(2)).tolist() == [factor, factor]
    return found


# --- Files and packages -------------------------------------------------------------------------


def test_a_file_outside_any_package(write):
    path = write("plain.py")
    found = works(f"{path}:twice")
    assert found.name == "plain:twice"
    assert found.location == (str(path), "twice")
    assert found.folder == path.parent
    assert load_reference(f"{path}:twice") is found
    assert load_reference("plain:twice") is found


def test_a_file_with_annotations_as_text(write):
    path = write("future.py", "from __future__ import annotations" + textwrap.dedent(DECORATED))
    contract = works(f"{path}:twice").contract
    assert contract.dims == ("n",)


def test_a_file_that_imports_its_neighbour(write):
    write("neighbour_constants.py", "FACTOR = 3\n")
    path = write("with_neighbour.py", DECORATED + "\n    from neighbour_constants import FACTOR\n")
    works(f"{path}:twice", 3)


def test_a_file_of_a_package_may_import_relatively(write):
    write("made_package/__init__.py", "")
    write("made_package/inner/__init__.py", DECORATED)
    write("made_package/constants.py", "FACTOR = 5\n")
    path = write("made_package/inner/deep.py", DECORATED + "\n    from ..constants import FACTOR\n")
    assert works(f"{path}:twice", 5).name == "made_package.inner.deep:twice"
    assert works(f"{path.parent / '__init__.py'}:twice").name == "made_package.inner:twice"


def test_files_of_the_same_name_are_told_apart(write):
    first = works(f"{write('a/same_stem.py')}:twice")
    second = works(f"{write('b/same_stem.py', DECORATED.replace('= 2', '= 7'))}:twice", 7)
    assert first.name != second.name
    works(f"{first.file}:twice")
    assert load_reference(f"{second.file}:twice") is second


@pytest.mark.parametrize("stem", ["signal", "this", "my-kernel", "numpy"])
def test_a_file_may_have_any_name(write, stem):
    before = sys.modules.get(stem)
    works(f"{write(f'{stem}.py')}:twice")
    assert sys.modules.get(stem) is before or stem == "my-kernel"
    assert signal.SIGKILL == 9


def test_a_package_that_another_one_hides_is_said(write):
    write("one/hidden_package/__init__.py", "")
    write("two/hidden_package/__init__.py", "")
    works(f"{write('one/hidden_package/mod.py')}:twice")
    other = write("two/hidden_package/mod.py", DECORATED.replace("= 2", "= 7"))
    with pytest.raises(
        ReferenceError_, match=r"cannot be imported as hidden_package\.mod, because"
    ):
        load_reference(f"{other}:twice")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1 / 0", "raises while it is imported: ZeroDivisionError: division by zero"),
        ("def f(:", "raises while it is imported: SyntaxError"),
        ("import sys\nsys.exit(3)", "raises while it is imported: SystemExit: 3"),
        ("import no_such_module_at_all", "cannot be imported: No module named 'no_such_module"),
        ("from . import sibling", "attempted relative import"),
    ],
)
def test_a_file_that_cannot_be_imported(write, text, message):
    path = write("broken_file.py", text)
    for _ in range(2):
        with pytest.raises(ReferenceError_, match=message):
            load_module(str(path))
    assert "broken_file" not in sys.modules


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{file}:thrice", "has no function 'thrice'; it has twice"),
        ("{file}:twice.inner.most", "has no function 'twice.inner.most'"),
        ("{file}:FACTOR.real.x", "has no function"),
        ("{file}:FACTOR", "is a int, not a function"),
        ("{file}:np", "is a module, not a function"),
        ("{file}:Class", "is a type, not a function"),
        ("{file}", "names no function; write FILE.py:fn or package.module:fn"),
        ("{file}:", "names no function"),
        (":twice", "names no function"),
        ("absent.py:f", "no such file: absent.py"),
        ("absent_module:f", "no module named 'absent_module'; for a file write its path with .py"),
        ("absent_package.inner:f", "cannot be imported: No module named 'absent_package'"),
    ],
)
def test_a_spec_that_names_no_reference(write, spec, message):
    path = write("named.py", DECORATED + "\n    class Class: pass\n")
    with pytest.raises(ReferenceError_, match=message):
        load_reference(spec.format(file=path))


def test_an_undecorated_function_says_what_to_write(write):
    path = write("undecorated.py", "def f(u):\n    return u\n")
    with pytest.raises(ContractError, match=r"is not decorated; write `@outpace.optimize\("):
        load_reference(f"{path}:f")


def test_a_function_of_another_module(write):
    write("library_of_others.py", "def f(u):\n    return u * FACTOR\nFACTOR = 2\n")
    path = write(
        "mine.py",
        """
        import numpy as np, outpace
        from jaxtyping import Float64
        from library_of_others import f
        f.__annotations__ = {"u": Float64[np.ndarray, "n"], "return": Float64[np.ndarray, "n"]}
        tuned = outpace.reference(f, workloads={"w": {"n": 3}})
        """,
    )
    found = works(f"{path}:tuned")
    assert found.name == "library_of_others:f"
    assert found.contract.dims == ("n",)


# --- Functions that no other process can import -------------------------------------------------


def test_a_notebook_function_travels_as_a_copy():
    text = textwrap.dedent(DECORATED)
    linecache.cache["<cell 1>"] = (len(text), None, text.splitlines(keepends=True), "<cell 1>")
    namespace = {"__name__": "__main__"}
    exec(compile(text, "<cell 1>", "exec"), namespace)
    found = namespace["twice"].reference
    assert found.file is None
    assert found.location is None
    assert found.folder == Path.cwd()
    path, name = found.importable()
    assert Path(path).is_file()
    assert load_function(path, name)(np.ones(2)).tolist() == [2, 2]
    assert list(Path(path).parent.glob("*.py")) == [Path(path)]


def test_functions_of_a_script_and_of_functions_travel_as_copies(write, monkeypatch):
    found = works(f"{write('script.py')}:twice")
    monkeypatch.setattr(found.fn, "__module__", "__main__")
    assert found.location is None
    assert load_function(*found.importable())(np.ones(2)).tolist() == [2, 2]

    def nested(u):
        return u * scale

    scale = 3
    inner = Reference(nested, ReferenceOptions(workloads={}))
    assert inner.location is None
    assert load_function(*inner.importable())(2) == 6


def test_a_static_method_is_found_by_its_qualified_name(write):
    path = write(
        "static.py",
        "class Solver:\n    @staticmethod\n    def step(u):\n        return u + 1\n",
    )
    fn = load_module(str(path)).Solver.step
    assert load_function(*Reference(fn, ReferenceOptions(workloads={})).importable())(1) == 2


@pytest.mark.parametrize("given", [3, int, np.sqrt, len])
def test_only_plain_functions_are_decorated(given):
    with pytest.raises(ContractError, match="not a plain Python function"):
        outpace.reference(given, workloads={"w": {"n": 3}})


# --- Contract and hash --------------------------------------------------------------------------


def test_the_contract_is_read_at_first_use_and_again_after_an_error(write):
    text = DECORATED.replace('u: Float64[np.ndarray, "n"]', "u")
    found = load_module(str(write("late.py", text))).twice.reference
    for _ in range(2):
        with pytest.raises(ContractError, match="'u' of twice has no annotation"):
            _ = found.contract


def test_defaults_and_keyword_only_parameters_are_arguments(write):
    text = DECORATED.replace(") -> Float64", ", k: int = 3, *, dt: float = 0.5) -> Float64")
    found = load_module(str(write("defaults.py", text.replace('"n": 4', '"n": 4, "k": 2')))).twice
    assert [a.name for a in found.reference.contract.arguments] == ["u", "k", "dt"]
    assert {case.sizes["k"] for case in draw_cases(found.reference, 24, 0)} == {0, 1, 2, 3, 4}


def test_the_hash_is_that_of_the_closure(write):
    first = works(f"{write('hash_a.py')}:twice")
    second = load_reference(f"{write('hash_b.py', '# moved' + textwrap.dedent(DECORATED))}:twice")
    third = load_reference(f"{write('hash_c.py', DECORATED.replace('= 2', '= 3'))}:twice")
    assert first.source_hash == second.source_hash != third.source_hash
