"""Isolation: builds apart from runs, what each layer holds, and that nothing is left of a trial."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from jaxtyping import Float64

from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import EnvironmentError_
from outpace.kernels.languages import language_named
from outpace.model import Draft, Grade, Provenance, Status, Variant
from outpace.tuner import api
from outpace.tuner.isolation import launch, probe
from outpace.tuner.isolation.child import namespaces_refused
from outpace.tuner.isolation.sandbox import Layers
from outpace.tuner.process import Call, Failure, Worker, bytes_of

SIZES = {"n": 100}
CALL = Call(SIZES, {"u": np.arange(100.0)})
PLAIN = "def kernel(u, out):\n    out[...] = 2 * u\n"
IN_C = "void kernel(int64_t n, const double *u, double *out) {\n  BODY\n}\n"


def doubled(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """A reference."""
    return 2 * u


REFERENCE = Reference(doubled, ReferenceOptions(workloads={"w": SIZES}))
CONTRACT = REFERENCE.contract


@pytest.fixture(params=["best", "without namespaces"])
def layers(request, monkeypatch):
    """What this machine has, and the same without namespaces."""
    if request.param == "best" and namespaces_refused() is not None:
        pytest.skip(f"no namespaces here: {namespaces_refused()}")
    if request.param != "best":
        monkeypatch.setattr(launch, "layers_wanted", lambda: Layers(namespaces=False))
    return request.param


@pytest.fixture
def start(tmp_path):
    """Start a process that builds, or runs, a draft of this source."""

    def starter(source, language="numba", **options):
        folder = tmp_path / "judged"
        folder.mkdir(exist_ok=True)
        (folder / f"draft{language_named(language).suffix}").write_text(source)
        variant = Variant(Draft(language, source))
        return Worker(CONTRACT, folder, bytes_of(CONTRACT, SIZES), variant=variant, **options)

    return starter


def answer(worker):
    worker.prepare([CALL])
    worker.run(20.0)
    return worker.results()[0]


def confined(worker):
    if worker.grade not in (Grade.A, Grade.B):
        pytest.skip("this kernel has neither Landlock nor namespaces")


def test_a_run_reads_the_build_and_cannot_change_it(start, layers, tmp_path):
    build = tmp_path / "judged" / "build"
    building = f"open({str(build / 'made')!r}, 'w').close()\n{PLAIN}"
    with start(building, building=True) as builder:
        confined(builder)
    before = {path: path.read_bytes() for path in build.rglob("*") if path.is_file()}
    assert before

    poisoning = (
        "import pathlib\n"
        f"build = pathlib.Path({str(build)!r})\n"
        "def kernel(u, out):\n"
        "    out[...] = 0\n"
        "    for path in [build / 'new', *build.rglob('*'), build.parent / 'draft.py']:\n"
        "        for change in (path.unlink, lambda: path.write_bytes(b'poison')):\n"
        "            try:\n"
        "                change()\n"
        "                out[...] = 1\n"
        "            except (OSError, ValueError):\n"
        "                pass\n"
        "    out[1] = build.exists()\n"
    )
    with start(poisoning) as worker:
        got = answer(worker)
        assert (got[0], got[1]) == (0, 1)
    assert before == {path: path.read_bytes() for path in build.rglob("*") if path.is_file()}


def test_what_a_run_writes_goes_with_it(start, layers, tmp_path):
    source = (
        "import os\n"
        "def kernel(u, out):\n"
        "    out[...] = os.path.exists('left')\n"
        "    open('left', 'w').close()\n"
    )
    for _ in range(2):
        with start(source) as worker:
            assert not answer(worker).any()
    assert [path.name for path in (tmp_path / "judged").iterdir()] == ["draft.py"]


def test_a_compiler_runs_when_building_and_nothing_when_running(start, layers):
    if (why := language_named("c").unavailable()) is not None:
        pytest.skip(why)
    body = 'for (int64_t i = 0; i < n; i++) out[i] = 2 * u[i] + (system("true") == 0);'
    source = "#include <stdlib.h>\n" + IN_C.replace("BODY", body)
    with start(source, "c", building=True) as builder:
        confined(builder)
    with start(source, "c") as worker:
        np.testing.assert_array_equal(answer(worker), 2 * CALL.values["u"])


def test_building_in_python_starts_no_program(start, layers):
    source = f"import subprocess\nsubprocess.run(['true'])\n{PLAIN}"
    with pytest.raises(Failure) as caught, start(source, building=True):
        pass
    assert caught.value.status is Status.BLOCKED


def test_a_process_sees_only_itself_and_what_it_needs(start):
    source = (
        "import os\n"
        "def kernel(u, out):\n"
        "    out[0] = sum(name.isdecimal() for name in os.listdir('/proc'))\n"
        "    out[1] = any(os.path.exists(p) for p in ('/home', '/root/.ssh', '/etc/shadow'))\n"
    )
    with start(source) as worker:
        if worker.grade is not Grade.A:
            pytest.skip("no namespaces here")
        assert answer(worker)[:2].tolist() == [1, 0]


# --- what is left -------------------------------------------------------------------------------

LITTER = """
import os, threading
def litter():
    for folder in ('/tmp', '/dev/shm', '/var/tmp', os.path.expanduser('~'), BUILD, '.'):
        try:
            open(os.path.join(folder, MARK), 'w').close()
        except OSError:
            pass
    try:
        os.memfd_create(MARK)
    except OSError:
        pass
    threading.Thread(target=threading.Event().wait).start()
def kernel(u, out):
    litter()
    END
"""


def left_of(mark, folder):
    """Files with this name, and processes that were given a folder below this one."""
    places = (Path("/tmp"), Path("/dev/shm"), Path("/var/tmp"), Path.home())
    files = [place / mark for place in places if (place / mark).exists()]
    return files + list(folder.rglob(mark)) + processes_of(folder)


def processes_of(folder):
    found = []
    for process in psutil.process_iter():
        try:
            given = " ".join(process.environ().get(name, "") for name in ("HOME", "TMPDIR"))
            if str(folder) in given and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("out[...] = 2 * u", None),
        ("os._exit(3)", Status.CRASHED),
        ("while True: pass", Status.TIMEOUT),
    ],
)
def test_nothing_is_left_of_a_trial(start, layers, tmp_path, end, status):
    mark = f"outpace-left-{tmp_path.name}"
    build = tmp_path / "judged" / "build"
    source = f"MARK, BUILD = {mark!r}, {str(build)!r}\n" + LITTER.replace("END", end)
    caught = None
    try:
        with start(source) as worker:
            confined(worker)
            worker.prepare([CALL])
            worker.run(0.5 if status is Status.TIMEOUT else 20.0)
    except Failure as failure:
        caught = failure.status
    assert caught is status
    assert left_of(mark, tmp_path) == []


JUDGE = """
import sys, time
from pathlib import Path
from outpace.model import Draft, Variant
from outpace.tuner.isolation import launch
from outpace.tuner.process import Worker, bytes_of
from outpace.tuner.isolation.sandbox import Layers
from outpace.codegen.reference import load_reference
contract = load_reference(sys.argv[1]).contract
folder, language, layers = Path(sys.argv[2]), sys.argv[3], sys.argv[4]
if layers != "best":
    launch.layers_wanted = lambda: Layers(namespaces=False)
draft = Draft(language, next(folder.glob("draft.*")).read_text())
building = language == "c"
Worker(contract, folder, (0, 0), variant=Variant(draft), building=building)
print("loaded", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("language", ["numba", "c"])
def test_a_killed_judge_takes_its_drafts_along(layers, tmp_path, language, monkeypatch):
    reference = tmp_path / "module.py"
    reference.write_text(
        "import numpy as np\nimport outpace\nfrom jaxtyping import Float64\n"
        "@outpace.optimize(workloads={'w': {'n': 100}})\n"
        "def doubled(u: Float64[np.ndarray, 'n']) -> Float64[np.ndarray, 'n']:\n"
        "    return 2 * u\n"
    )
    compiler = tmp_path / "bin" / "cc"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\nsleep 600 &\nwait\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    folder = tmp_path / "judged"
    folder.mkdir()
    suffix, source = (".py", PLAIN) if language == "numba" else (".c", IN_C.replace("BODY", ""))
    (folder / f"draft{suffix}").write_text(source)
    with subprocess.Popen(
        [sys.executable, "-c", JUDGE, f"{reference}:doubled", folder, language, layers],
        stdout=subprocess.PIPE,
    ) as judge:
        wanted = 1 if language == "numba" else 3  # the compiler's shell and what it has started
        until(lambda: len(processes_of(folder)) >= wanted or judge.poll() is not None)
        assert judge.poll() is None
        judge.send_signal(signal.SIGKILL)
    until(lambda: not processes_of(folder))


def until(condition, limit=60.0):
    """Wait for something that must come to pass."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- grades -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "grade"),
    [
        (Layers(), Grade.A),
        (Layers(namespaces=False), Grade.B),
        (Layers(landlock=False), Grade.B),
        (Layers(namespaces=False, landlock=False), Grade.C),
        (Layers(seccomp=False), Grade.D),
    ],
)
def test_grades(layers, grade):
    assert layers.grade is grade


@pytest.mark.parametrize(
    ("drafter", "accept_risk", "verdict"),
    [("mcp", False, Status.BLOCKED), ("mcp", True, Status.WRONG), ("user", False, Status.WRONG)],
)
def test_drafts_of_a_model_need_grade_b(monkeypatch, tmp_path, drafter, accept_risk, verdict):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    weak = Layers(namespaces=False, landlock=False)
    monkeypatch.setattr(launch, "layers_wanted", lambda: weak)
    ran = tmp_path / "ran"
    source = f"open({str(ran)!r}, 'w').close()\n{PLAIN.replace('2', '3')}"
    draft = Draft("numba", source, provenance=Provenance(drafter))

    result = api.judge(REFERENCE, draft, dry_run=True, accept_risk=accept_risk)

    assert result.verdict is verdict, [trial.reason for trial in result.trials]
    assert ran.exists() is (verdict is Status.WRONG)
    assert result.trials[-1].grade is weak.grade
    assert ("--accept-risk" in result.trials[-1].reason) is (verdict is Status.BLOCKED)


def test_a_process_that_cannot_be_set_up_is_no_fault_of_a_draft(start, monkeypatch):
    monkeypatch.setattr(launch, "_SPAWN", "raise SystemExit('no such machine')  # {path} {setup}")
    with pytest.raises(EnvironmentError_, match="no such machine"):
        start(PLAIN)


# --- probing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "open_doors"),
    [
        ((), set()),
        (("namespaces",), {"no look at other processes"}),
        (
            ("namespaces", "landlock"),
            {
                "no look at other processes",
                "no reading outside its folder",
                "no writing outside its folder",
                "no files in /dev/shm",
            },
        ),
    ],
)
def test_the_probe_finds_what_a_missing_layer_leaves_open(monkeypatch, missing, open_doors):
    if namespaces_refused() is not None:
        pytest.skip(f"no namespaces here: {namespaces_refused()}")
    wanted = Layers(**dict.fromkeys(missing, False))
    monkeypatch.setattr(probe, "layers_wanted", lambda: wanted)
    found = probe.probe()
    assert found.grade is wanted.grade
    assert found.unloadable is None
    assert {layer.name for layer in found.layers if not layer.active} == open_doors
    assert all(layer.hint for layer in found.layers)
