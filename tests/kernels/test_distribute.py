"""A distributed function gives what the function gives, on any number of ranks, or one error."""

import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import outpace
from outpace.codegen.mpi import drafts, local
from outpace.codegen.mpi.drafts import mpi_drafts
from outpace.codegen.mpi.layout import blocks
from outpace.codegen.reference import load_module
from outpace.errors import ContractError
from outpace.kernels import builds, promotions, target
from outpace.kernels.promotions import PromotionWarning
from outpace.kernels.rank_programs import Runs
from outpace.model import Draft, Variant
from outpace.tuner.simcomm import installed, run_ranks
from outpace.tuner.simcomm.check import Question, check_program

REFERENCES = Path(__file__).parents[1] / "codegen" / "mpi" / "mpi_references.py"
PROGRAM = Path(__file__).with_name("spread_program.py")
STEP = """
from outpace import Block
@outpace.optimize(
    workloads={"a": dict(y=8, x=8, t=1, steps=2)},
    split={"y": Block(halo=1)},
    steps="steps",
    where="steps < 100",
)
def step(u: Float64[np.ndarray, "y x"], steps: int, table: Float64[np.ndarray, "t"]
         ) -> Float64[np.ndarray, "y x"]:
    u = u.copy()
    for _ in range(steps):
        u[1:-1] = 0.5 * (u[:-2] + u[2:]) + table[0]
    return u
"""
# It answers something that the reference never would, so that results tell what ran.
PROMOTED = "def run(comm, u, steps, table, out):\n    out[...] = -comm.Get_size()\n"


def loaded(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


program = loaded(PROGRAM, "spread_program")
references = load_module(str(REFERENCES))


@functools.cache
def uncompiled(reference):
    """The drafts around the reference itself, which is not compiled; right on any ranks."""
    return [
        msgspec.structs.replace(
            draft, source=re.sub(r"(?m)^(@numba\.njit.*|import numba)\n", "", draft.source)
        )
        for draft in mpi_drafts(reference, local.numpy_kernel(reference), 6)
    ]


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch, tmp_path):
    """Compiling a few cells takes longest; promotions are in a folder of the test."""
    monkeypatch.setattr(local, "default_kernel", lambda *args, **kwargs: "")
    monkeypatch.setattr(drafts, "mpi_drafts", lambda reference, *_: uncompiled(reference))
    monkeypatch.setenv("OUTPACE_PROMOTED", str(tmp_path / "promoted"))


@pytest.fixture
def step(module):
    return module(STEP).step


def on_ranks(count, work, **options):
    """What each of so many simulated ranks returns, without the note on default plans."""
    with installed(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*makes a promotion", PromotionWarning)
        return run_ranks(count, work, **options).check()


def field(y=8, x=8):
    return np.arange(y * x, dtype=float).reshape(y, x)


TABLE = np.array([0.25])


def stepped(fn, comm, u=None, steps=2):
    """One whole problem: scattered, run, gathered on all ranks."""
    with fn.distribute(comm) as k:
        own = k.scatter(field() if u is None else u)
        return k.gather(k.run(own, steps, TABLE), root=None)


# --- Right results ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", program.SIZES)
def test_results_are_those_of_the_function(name):
    fn, sizes = getattr(references, name), program.SIZES[name]
    for ranks in (1, 2, 3, 5):
        found = on_ranks(ranks, lambda comm: program.differences(fn, sizes, comm), seed=ranks)
        assert not any(found), found


@pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None, reason="mpi4py is not installed")
def test_results_are_right_under_real_mpi(tmp_path):
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        pytest.skip("there is no mpiexec")
    result = tmp_path / "result.json"
    names = ["heat", "least"]
    more = {
        "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
        "MPIR_CVAR_POLLS_BEFORE_YIELD": "20",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    command = [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py", PROGRAM, REFERENCES, result]
    subprocess.run(
        [*map(str, command), *names], env={**os.environ, **more}, check=True, timeout=120
    )
    assert json.loads(result.read_text()) == []


@settings(max_examples=12)
@given(y=st.integers(0, 9), x=st.integers(1, 4), ranks=st.integers(1, 5), seed=st.integers(0, 9))
def test_scattered_blocks_are_those_owned_and_gather_to_the_whole(y, x, ranks, seed):
    whole = field(y, x)

    def work(comm):
        with references.heat.distribute(comm) as k:
            own = k.scatter(whole if comm.Get_rank() == 0 else None)
            assert own.flags.c_contiguous
            np.testing.assert_array_equal(own, whole[k.own("u", {"y": y, "x": x})])
            assert own.shape == k.layout({"y": y, "x": x}).shape(k._part("u"), comm.Get_rank())
            return k.gather(u=own, root=None)

    for found in on_ranks(ranks, work, seed=seed):
        np.testing.assert_array_equal(found, whole)


def test_what_is_not_cut_is_whole_on_every_rank_and_sizes_may_change(step):
    def work(comm):
        with step.distribute(comm) as k:
            for rows in (8, 11, 8):
                u, table = k.scatter(field(rows), TABLE)
                np.testing.assert_array_equal(table, TABLE)
                whole = k.gather(k.run(u, 2, table=table))
                if comm.Get_rank() == 0:
                    np.testing.assert_array_equal(whole, step(field(rows), 2, TABLE))

    on_ranks(3, work)


def test_data_may_be_born_distributed(step):
    def work(comm):
        sizes = {"y": 7, "x": 3}
        with step.distribute(comm) as k:
            own = k.empty("u", sizes)
            own[...] = field(7, 3)[k.own("u", sizes)]
            assert k.local(own) is own
            assert k.local(u=own[:], sizes=sizes).shape == own.shape
            assert k.halos == {"y": (1, 1)}
            return k.gather(k.run(own, 3, TABLE), root=None)

    for found in on_ranks(3, work):
        np.testing.assert_array_equal(found, step(field(7, 3), 3, TABLE))


def test_the_caller_s_messages_and_those_of_the_program_do_not_meet(step):
    def work(comm):
        if comm.Get_rank() == 0:
            request = comm.isend("mine", dest=1)
            stepped(step, comm)
            request.wait()
            return "mine"
        stepped(step, comm)
        return comm.recv(source=0)

    assert on_ranks(2, work) == ("mine", "mine")


# --- Which program runs -------------------------------------------------------------------------


def promoted(fn, promote, ranks=2, source=PROMOTED, **changes):
    reference = fn.reference
    key = promotions.key_for(reference, target.hardware(), reference.contract.workloads, ranks)
    variant = Variant(Draft("mpi", source, flags={"grid": "y"}))
    made = promote.make(fn, "", **{"key": key, "variant": variant, **changes})
    promote.compiled()
    return promotions.write(made, reference)


def test_a_promotion_runs_on_its_number_of_ranks_and_near_its_sizes(step, promote):
    path = promoted(step, promote)
    wanted = step(field(), 2, TABLE)
    for found in on_ranks(2, lambda comm: stepped(step, comm)):
        assert (found == -2).all()
    for found in on_ranks(3, lambda comm: stepped(step, comm)):
        np.testing.assert_array_equal(found, wanted)
    for found in on_ranks(2, lambda comm: stepped(step, comm, steps=5)):
        np.testing.assert_array_equal(found, step(field(), 5, TABLE))
    (choice, far), _ = on_ranks(2, lambda comm: chosen(step, comm))
    assert (choice.runs, choice.stored.path, choice.grid) == (Runs.PROMOTION, path, {"y": 2})
    assert str(path) in str(choice)
    assert {used.folder for used in outpace.used()} >= {path}
    assert far.runs is Runs.DEFAULT_PLAN
    assert "size y=80 is outside 0.5 to 2 times" in far.reason


def chosen(fn, comm):
    sizes = {"y": 8, "x": 8, "t": 1, "steps": 2}
    with fn.distribute(comm) as k:
        return k.explain(sizes), k.explain({**sizes, "y": 80})


def test_the_function_itself_never_runs_a_program_for_ranks(step, promote):
    promoted(step, promote, ranks=1)
    assert step(field(), 2, TABLE).min() >= 0
    assert "it is a program for MPI ranks" in str(step.explain(field(), 2, TABLE))
    (found,) = on_ranks(1, lambda comm: stepped(step, comm))
    assert (found == -1).all()


def test_a_missing_promotion_is_said_once_on_rank_0(step):
    def work(comm):
        with step.distribute(comm) as k:
            for steps in (1, 2):
                k.run(k.scatter(field()), steps, TABLE)

    with installed(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run_ranks(2, work).check()
    (only,) = [str(w.message) for w in said if w.category is PromotionWarning]
    assert "there is no promotion for 2 ranks" in only
    assert "step --language mpi --ranks 2` makes a promotion" in only
    assert "`outpace check-annotation" in only


def test_an_edited_draft_does_not_run(step, promote):
    path = promoted(step, promote)
    (path / "draft.py").write_text('# outpace: {"flags": {"grid": "y"}}\n' + PROMOTED + "#\n")
    wanted = step.reference.fn(field(), 2, TABLE)
    with pytest.warns(PromotionWarning, match="is not the draft that was judged"):
        found = on_ranks(2, lambda comm: stepped(step, comm))
    np.testing.assert_array_equal(found[1], wanted)


def test_a_promotion_that_one_rank_cannot_load_runs_on_none(step, promote, monkeypatch):
    promoted(step, promote)
    load = builds.load_promoted
    calls = []

    def second_fails(variant, contract):
        calls.append(variant)
        if len(calls) == 2:
            raise builds.BuildError("no room")
        return load(variant, contract)

    monkeypatch.setattr(builds, "load_promoted", second_fails)
    with pytest.warns(PromotionWarning, match="on rank 1: BuildError: no room; the default plan"):
        found = on_ranks(2, lambda comm: stepped(step, comm))
    np.testing.assert_array_equal(found[0], step(field(), 2, TABLE))


def test_a_promotion_whose_grid_has_another_number_of_places_does_not_run(step, promote):
    draft = Draft("mpi", PROMOTED, parameters=(), flags={"grid": "x"})
    promoted(step, promote, variant=Variant(draft))
    (choice, _), _ = on_ranks(2, lambda comm: chosen(step, comm))
    assert choice.runs is Runs.DEFAULT_PLAN
    assert "must name dims that may be cut" in choice.reason


def test_disabled_it_runs_the_reference_on_rank_0(step, promote, monkeypatch):
    promoted(step, promote)
    monkeypatch.setenv("OUTPACE_DISABLE", "1")
    for found in on_ranks(2, lambda comm: stepped(step, comm)):
        np.testing.assert_array_equal(found, step(field(), 2, TABLE))
    (choice, _), _ = on_ranks(2, lambda comm: chosen(step, comm))
    assert choice.runs is Runs.REFERENCE


def test_disabled_it_writes_in_place_and_its_exceptions_reach_every_rank(module, monkeypatch):
    monkeypatch.setenv("OUTPACE_DISABLE", "1")
    sizes = program.SIZES["maxwell"]
    assert not any(on_ranks(3, lambda c: program.differences(references.maxwell, sizes, c)))
    failing = module(STEP.replace("u = u.copy()", "raise ZeroDivisionError('too hot')")).step

    def work(comm):
        with pytest.raises((ZeroDivisionError, RuntimeError), match="too hot"):
            stepped(failing, comm)

    on_ranks(2, work)


def test_calls_of_the_function_are_as_before(step):
    before = step(field(), 2, TABLE)
    on_ranks(2, lambda comm: stepped(step, comm))
    np.testing.assert_array_equal(step(field(), 2, TABLE), before)
    assert isinstance(step, outpace.kernels.optimize.OptimizedFunction)


# --- One clear error on every rank --------------------------------------------------------------


def refused(fn, ranks, work):
    """The error that every rank gets, which must be the same."""

    def caught(comm):
        with pytest.raises(ContractError) as error, fn.distribute(comm) as k:
            work(k, comm.Get_rank())
        return str(error.value)

    (text,) = set(on_ranks(ranks, caught))
    return text


def run_with(change):
    """Run where each rank may change its arguments first."""

    def work(k, rank):
        own = k.scatter(field())
        args = {"u": own, "steps": 2, "table": TABLE}
        k.run(**{**args, **change(rank, own)})

    return work


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (
            run_with(lambda rank, u: {"u": u[:-1]} if rank == 1 else {}),
            "rank 1: u has shape (2, 8)",
        ),
        (run_with(lambda rank, u: {"u": u.astype("f4")}), "rank 0: u has dtype float32"),
        (run_with(lambda rank, u: {"u": u[:, ::2]} if rank else {}), "u is not C-contiguous"),
        (run_with(lambda rank, u: {"u": u[0]}), "u has 1 axes, the annotation says 'y x'"),
        (run_with(lambda rank, u: {"u": field()}), "rank 0: u has shape (8, 8)"),
        (run_with(lambda rank, u: {"steps": 2 + rank}), "rank 1 has y=8, steps=3, x=8, t=1"),
        (run_with(lambda rank, u: {"steps": "2"}), "steps is a str"),
        (run_with(lambda rank, u: {"table": TABLE[:rank]}), "all ranks must pass the same"),
        (run_with(lambda rank, u: {"tabel": TABLE}), "unexpected keyword argument 'tabel'"),
        (run_with(lambda rank, u: {"steps": 100}), "outside the domain `steps < 100`"),
        (lambda k, rank: k.run(field(), 2, TABLE), "the extent of y is not known"),
        (lambda k, rank: k.scatter(field().T.astype("i8")), "u has dtype int64"),
        (lambda k, rank: k.scatter(field(), root=rank), "all ranks must pass the same"),
        (lambda k, rank: k.scatter(field(), root=7), "there is no root 7 among 3 ranks"),
        (lambda k, rank: k.scatter(v=field()), "the array v is none of out, table, u"),
        (lambda k, rank: k.scatter(field(), u=field()), "the array u was given twice"),
        (lambda k, rank: k.scatter(1, 2, 3), "there are: u, table"),
        (lambda k, rank: k.scatter(), "no array was given"),
        (lambda k, rank: k.scatter([1.0]), "u is a list, not a NumPy array"),
        (lambda k, rank: k.gather(k.scatter(field())[rank:]), "out has shape"),
        (lambda k, rank: k.local(field(), sizes={"y": 8}), "the own block of this rank has (3, 8)"),
        (lambda k, rank: k.own("steps", {"y": 8}), "steps is no array"),
        (lambda k, rank: k.own("u", {"y": 8}), "the extent of x is missing for u"),
        (lambda k, rank: k.explain({"y": 8}), "sizes lacks x, t, steps"),
    ],
)
def test_what_is_wrong_on_a_rank_is_said_on_every_rank(step, work, said):
    assert said in refused(step, 3, work)


def test_an_array_that_does_not_tell_all_cut_dims_says_what_to_do():
    a = np.ones((4, 3))
    said = refused(references.product, 2, lambda k, rank: k.scatter(a))
    assert "the extent of n is not known" in said
    assert "scatter all arrays together" in said


def test_a_function_that_does_not_say_how_it_is_cut_is_refused(module):
    fn = module(STEP.replace('split={"y": Block(halo=1)},', "")).step
    said = refused(fn, 2, lambda k, rank: None)
    assert 'add split= to its decorator, such as split={"y": Block(halo=1)}' in said


def test_a_function_without_a_plan_is_refused_where_none_is_promoted(module):
    fn = module(STEP.replace("u = u.copy()", "u = np.cumsum(u, axis=1)")).step
    said = refused(fn, 2, run_with(lambda rank, u: {}))
    assert "a scan" in said


def test_ranks_with_other_sources_are_refused(module):
    fns = [module(STEP).step, module(STEP.replace("0.5", "0.25")).step]

    def work(comm):
        with pytest.raises(ContractError, match="rank 1 has the source"):
            fns[comm.Get_rank()].distribute(comm)

    on_ranks(2, work)


def test_something_that_is_no_communicator_is_refused(step):
    with pytest.raises(ContractError, match=r"such as MPI\.COMM_WORLD of mpi4py, not a int"):
        step.distribute(2)


def test_distribute_imports_neither_mpi4py_nor_a_compiler():
    code = (
        "import sys, outpace.kernels.distribute; "
        "assert not {'mpi4py', 'numba', 'hypothesis'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_documented_example_runs(tmp_path):
    text = (PROGRAM.parents[2] / "docs" / "distribute.md").read_text()
    example = tmp_path / "program.py"
    example.write_text(text.split("```python\n")[1].split("```")[0])
    (ran,) = check_program(Question(example, (), (3,), 1, 0, 100.0, show_output=False))
    assert ran.reply.fault is None, ran.reply.fault


def test_blocks_of_empty_ranks_have_no_rows(step):
    assert blocks(1, 3) == ((0, 1), (1, 1), (1, 1))
    for found in on_ranks(3, lambda comm: stepped(step, comm, field(1, 4))):
        np.testing.assert_array_equal(found, step(field(1, 4), 2, TABLE))
