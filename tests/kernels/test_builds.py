"""Builds of promotions: made once, whole or not at all, and loaded without a compiler."""

import json
import os
import shutil
import subprocess
import sys

import msgspec
import numpy as np
import pytest
from jaxtyping import Float64

from outpace.codegen.contract import build_contract
from outpace.errors import EnvironmentError_
from outpace.kernels import builds, promotions, target
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import BuildError
from outpace.kernels.languages.compilers import find_compiler
from outpace.model import Draft, Evidence, Grade, Parameter, Promotion, Speedup, Variant

SOURCES = {
    "c": "void kernel(int64_t n, const double *restrict u, double *restrict out)\n"
    "{ for (int64_t i = 0; i < n; i++) out[i] = FACTOR * u[i]; }\n",
    "numba": "import numba\n\n\n@numba.njit\ndef kernel(u, out):\n"
    "    for i in range(u.size):\n        out[i] = FACTOR * u[i]\n",
}
LANGUAGES = [
    "numba",
    pytest.param(
        "c",
        marks=pytest.mark.skipif(
            language_named("c").unavailable() is not None, reason="there is no C compiler"
        ),
    ),
]
WAITS = 120.0


def _scaled(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """A reference."""


CONTRACT = build_contract(_scaled, workloads={"w": {"n": 3}})


@pytest.fixture(params=LANGUAGES)
def variant(request):
    draft = Draft(request.param, SOURCES[request.param], (Parameter("FACTOR", (2, 3)),))
    return Variant(draft, {"FACTOR": 3})


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(builds.environment, "temporary_dir", lambda: tmp_path)


def scaled(kernel):
    out = np.empty(3)
    kernel(np.arange(3.0), out)
    return out.tolist()


def snapshot(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"}


# --- In one process -----------------------------------------------------------------------------


def test_a_promotion_is_built_once(variant, tmp_path):
    assert scaled(builds.load_promoted(variant, CONTRACT)) == [0.0, 3.0, 6.0]
    built = snapshot(tmp_path / "xdg-cache")
    assert scaled(builds.load_promoted(variant, CONTRACT)) == [0.0, 3.0, 6.0]
    assert built == snapshot(tmp_path / "xdg-cache") != {}


def test_a_build_can_be_moved(variant, tmp_path, monkeypatch):
    builds.build(variant, CONTRACT, tmp_path / "made")
    (tmp_path / "made").rename(tmp_path / "moved")
    before = snapshot(tmp_path / "moved")
    monkeypatch.setenv("OUTPACE_BUILDS", str(tmp_path / "moved"))
    assert scaled(builds.load_promoted(variant, CONTRACT)) == [0.0, 3.0, 6.0]
    assert snapshot(tmp_path / "moved") == before


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b + b"0"])
def test_a_damaged_build_is_made_again(variant, damage):
    folder = builds.build(variant, CONTRACT)
    whole = snapshot(folder)
    largest = max(whole, key=lambda path: len(whole[path]))
    largest.unlink()  # a library in use is never written to
    largest.write_bytes(damage(whole[largest]))
    assert scaled(builds.load_promoted(variant, CONTRACT)) == [0.0, 3.0, 6.0]
    assert snapshot(folder).keys() == whole.keys()
    assert builds._is_intact(folder)


def test_a_draft_that_does_not_compile_leaves_nothing(tmp_path):
    variant = Variant(Draft("numba", "import numba\n\n\n@numba.njit\ndef kernel(u, out):\n    x\n"))
    with pytest.raises(BuildError):
        builds.build(variant, CONTRACT, tmp_path / "made")
    assert [p for p in (tmp_path / "made").iterdir() if p.suffix != ".lock"] == []


def test_given_builds_are_all_there_is(variant, tmp_path, monkeypatch):
    builds.load_promoted(variant, CONTRACT)
    monkeypatch.setenv("OUTPACE_BUILDS", str(tmp_path / "empty"))
    with pytest.raises(EnvironmentError_, match=r"run `outpace build --into .*empty` on a machine"):
        builds.load_promoted(variant, CONTRACT)
    assert not (tmp_path / "empty").exists()


def open_to_all(folder):
    folder.mkdir()
    folder.chmod(0o777)


def link_elsewhere(folder):
    folder.symlink_to(folder.parent)


@pytest.mark.parametrize("make", [open_to_all, link_elsewhere])
def test_a_temporary_folder_that_others_may_write_to_is_not_used(tmp_path, make):
    assert len(builds._roots()) == 2
    shared = tmp_path / f"outpace-{os.getuid()}"
    shared.rmdir()
    make(shared)
    assert builds._roots() == [tmp_path / "xdg-cache" / "outpace" / "builds"]


# --- In many processes --------------------------------------------------------------------------

MODULE = """
import numpy as np
from jaxtyping import Float64
import outpace


@outpace.optimize(workloads={"w": {"n": 3}})
def scaled(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return 3 * u
"""
CALLER = """
import json, sys, warnings
warnings.simplefilter("error")
import numpy as np, outpace, project
result = project.scaled(np.arange(3.0)).tolist()
used = [one.promotion for one in outpace.used()]
print(json.dumps([result, used]))
"""


@pytest.fixture
def project(tmp_path, variant, monkeypatch):
    """A folder with a module and its promotion, and a compiler that notes when it is called."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "project.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    import project

    reference = project.scaled.reference
    (workload,) = reference.contract.workloads
    here = target.current_target()
    speedup = Speedup(8.1, 7.9, 8.3)
    promotion = Promotion(
        reference=reference.name,
        key=promotions.key_for(reference, here, [workload]),
        variant=variant,
        evidence=(Evidence(workload, speedup, (), "native", {}, 0.01),),
        target=here,
        grade=Grade.A,
        contract=reference.contract,
    )
    promotions.write(promotion, reference)
    yield folder
    del sys.modules["project"]


def environment_of(project, **extra):
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "XDG_CACHE_HOME")}
    return {**kept, "TMPDIR": str(project.parent), "PYTHONPATH": str(project), **extra}


def call(project, count=1, before=(), **extra):
    """What as many processes that start at once say of one call of the function."""
    command = [*before, sys.executable, "-c", CALLER]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [
        subprocess.Popen(command, env=environment_of(project, **extra), text=True, **pipes)
        for _ in range(count)
    ]
    said = []
    for process in started:
        out, err = process.communicate(timeout=WAITS)
        assert process.returncode == 0, err
        said.append(json.loads(out))
    return said


def outpace(project, *arguments, **extra):
    command = [sys.executable, "-c", "from outpace.cli import main; main()", *arguments]
    done = subprocess.run(
        command, env=environment_of(project, **extra), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("count", [3, pytest.param(64, marks=pytest.mark.soak)])
def test_processes_that_start_at_once_on_a_cold_cache_make_one_build(project, count):
    first, *others = call(project, count)
    assert first[0] == [0.0, 3.0, 6.0]
    assert len(first[1]) == 1
    assert others == [first] * (count - 1)
    (build,) = (project.parent / "xdg-cache" / "outpace" / "builds").glob("[0-9a-f]*")
    assert builds._is_intact(build)


@pytest.mark.parametrize("variant", LANGUAGES[1:], indirect=True)
def test_they_compile_once(project, tmp_path):
    wrapper, calls = tmp_path / "cc", tmp_path / "calls"
    compiler = find_compiler().command[0]
    wrapper.write_text(f'#!/bin/sh\ncase "$*" in *draft.c) echo x >> {calls};; esac\n'
                       f'exec {compiler} "$@"\n')  # fmt: skip
    wrapper.chmod(0o755)
    call(project, 8, CC=str(wrapper))
    assert calls.read_text() == "x\n"


@pytest.mark.parametrize("count", [2, pytest.param(64, marks=pytest.mark.soak)])
def test_builds_are_loaded_read_only_and_without_a_compiler(project, tmp_path, count):
    folder = tmp_path / "shared"
    said = json.loads(outpace(project, "build", str(project), "--into", str(folder), "--json"))
    assert [entry["promotion"] for entry in said["built"]] != []
    before = snapshot(folder)
    options = {"OUTPACE_BUILDS": str(folder), "PATH": "/nowhere", "CC": "/nowhere/cc"}
    for result, used in call(project, count, read_only(folder), **options):
        assert result == [0.0, 3.0, 6.0]
        assert len(used) == 1
    assert snapshot(folder) == before


def test_on_a_cold_cache_that_is_read_only_a_temporary_folder_serves(project, tmp_path):
    cache = tmp_path / "xdg-cache"
    cache.mkdir()
    said = call(project, 2, read_only(cache))
    assert [result for result, _ in said] == [[0.0, 3.0, 6.0]] * 2
    assert all(len(used) == 1 for _, used in said)
    assert list(cache.iterdir()) == []
    (build,) = (tmp_path / f"outpace-{os.getuid()}" / "builds").glob("[0-9a-f]*")
    assert builds._is_intact(build)


def read_only(folder):
    """What runs a command that can only read this folder, whoever runs it."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no `unshare` to make a folder read-only with")
    script = f'mount --bind "{folder}" "{folder}" && mount -o remount,bind,ro "{folder}"'
    mount = os.environ["PATH"]
    before = (
        unshare, "--user", "--map-root-user", "--mount",
        "/bin/sh", "-c", f'own="$PATH"; PATH="{mount}"; {script} && PATH="$own" exec "$@"', "sh",
    )  # fmt: skip
    allowed = subprocess.run([*before, "/bin/true"], capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip(f"no folder can be made read-only here: {allowed.stderr.decode().strip()}")
    return before


def test_the_command_says_what_is_for_other_machines(project):
    (record,) = project.rglob("promotion.json")
    stored = promotions.read(record.parent)
    key = msgspec.structs.replace(stored.promotion.key, target="another machine")
    import project as module

    elsewhere = msgspec.structs.replace(stored.promotion, key=key)
    promotions.write(elsewhere, module.scaled.reference)
    said = outpace(project, "build", str(project))
    assert "1 promotion for other machines: run `outpace build` there" in said
    assert stored.promotion.variant.hash in said
