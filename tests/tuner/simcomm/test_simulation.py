"""The simulation itself: order, clock, counts, limits, and its parts against NumPy."""

import importlib
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outpace.errors import UsageError
from outpace.tuner.simcomm import Fault, Options, installed, run_ranks
from outpace.tuner.simcomm.datatypes import NAMED
from outpace.tuner.simcomm.faults import (
    Deadlock,
    InvalidCall,
    LimitReached,
    RankFailed,
    Unsupported,
)
from outpace.tuner.simcomm.module import mpi_module
from outpace.tuner.simcomm.topologies import compute_dims

MPI = mpi_module()
few = settings(max_examples=25, deadline=None)


def order_of_arrival(comm):
    """Rank 0: from whom its messages came."""
    if comm.rank:
        return comm.send(None, 0)
    status = MPI.Status()
    sources = []
    for _ in range(1, comm.size):
        comm.recv(source=MPI.ANY_SOURCE, status=status)
        sources.append(status.source)
    return sources


# --- Order ------------------------------------------------------------------------------------


def test_a_seed_decides_the_order():
    orders = [tuple(run_ranks(5, order_of_arrival, seed=s).results[0]) for s in range(10)]
    again = [tuple(run_ranks(5, order_of_arrival, seed=s).results[0]) for s in range(10)]
    assert orders == again
    assert len(set(orders)) > 5


def test_messages_of_one_sender_never_overtake_each_other():
    def program(comm):
        if comm.rank:
            for i in range(5):
                comm.Isend(np.full(1, i), 0).Free()
            return None
        got = {source: [] for source in range(1, comm.size)}
        status = MPI.Status()
        for _ in range(5 * (comm.size - 1)):
            value = np.empty(1, dtype=int)
            comm.Recv(value, MPI.ANY_SOURCE, status=status)
            got[status.source].append(int(value[0]))
        return got

    got = run_ranks(4, program, seed=3).check()[0]
    assert got == {source: [0, 1, 2, 3, 4] for source in (1, 2, 3)}


def test_reductions_combine_in_an_order_of_the_seed():
    def program(comm):
        return comm.allreduce([comm.rank], op=MPI.SUM)

    outcomes = [run_ranks(5, program, seed=seed).check() for seed in range(5)]
    assert all(len(set(map(tuple, results))) == 1 for results in outcomes)
    assert len({tuple(results[0]) for results in outcomes}) > 1


# --- Clock and counts -------------------------------------------------------------------------


def test_a_message_takes_latency_and_time_for_its_bytes():
    options = Options(latency=2.0, seconds_per_byte=0.5)

    def program(comm):
        if comm.rank == 0:
            comm.Send(np.zeros(10, dtype=np.uint8), 1)
        elif comm.rank == 1:
            comm.Recv(np.zeros(10, dtype=np.uint8), 0)
            comm.Send(np.zeros(4, dtype=np.uint8), 2)
        else:
            comm.Recv(np.zeros(4, dtype=np.uint8), 1)
        return MPI.Wtime()

    outcome = run_ranks(3, program, options=options)
    assert outcome.check() == (7.0, 11.0, 11.0)
    assert outcome.seconds == 11.0


@pytest.mark.parametrize(("ranks", "rounds"), [(1, 0), (2, 1), (3, 2), (8, 3), (9, 4)])
def test_a_broadcast_takes_as_many_rounds_as_a_tree_is_deep(ranks, rounds):
    options = Options(latency=1.0, seconds_per_byte=0.25)
    outcome = run_ranks(ranks, lambda comm: comm.Bcast(np.zeros(1)), options=options)
    outcome.check()
    assert [rank.seconds for rank in outcome.ranks] == [rounds * 3.0] * ranks


def test_computing_takes_virtual_time_where_that_is_wanted():
    def program(comm):
        before = MPI.Wtime()
        sum(range(200_000))
        return MPI.Wtime() - before

    assert max(run_ranks(2, program).check()) < 1e-6
    slow = run_ranks(2, program, options=Options(compute=1000.0)).check()
    assert min(slow) > 0.1


def test_bytes_are_counted_at_both_ends():
    def program(comm):
        comm.Sendrecv(np.zeros(3), (comm.rank + 1) % 4, 0, np.empty(3), (comm.rank - 1) % 4)
        comm.Allgather(np.zeros(2), np.empty(8))
        comm.Bcast(np.empty(5), root=2)

    outcome = run_ranks(4, program)
    outcome.check()
    assert [rank.bytes_sent for rank in outcome.ranks] == [24 + 16, 24 + 16, 24 + 16 + 40, 24 + 16]
    assert [rank.bytes_received for rank in outcome.ranks] == [112, 112, 72, 112]
    assert {(r.messages_sent, r.messages_received, r.collectives) for r in outcome.ranks} == {
        (1, 1, 2)
    }


# --- Faults and limits ------------------------------------------------------------------------


def test_check_raises_the_fault():
    with pytest.raises(Deadlock, match=r"rank 0 waits in recv\(source=0, tag=ANY_TAG\) at"):
        run_ranks(1, lambda comm: comm.recv(source=0)).check()


def test_a_failure_keeps_the_stack_and_what_others_did():
    def program(comm):
        if comm.rank == 1:
            raise KeyError("grid")
        comm.Barrier()

    fault = run_ranks(2, program, seed=1).fault
    assert isinstance(fault, RankFailed)
    assert 'raise KeyError("grid")' in fault.details
    assert fault.rank == 1
    assert [waiting.rank for waiting in fault.waiting] == [0, 1]


def test_every_thread_ends_after_a_fault():
    def program(comm):
        try:
            comm.recv(source=(comm.rank + 1) % comm.size)
        except Exception:  # noqa: BLE001
            comm.send(0, 0)
        finally:
            comm.Barrier()

    before = threading.active_count()
    assert isinstance(run_ranks(6, program).fault, Deadlock)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "_live" in thread.name:
            thread.join(5)
    assert threading.active_count() == before


def test_too_many_calls_end_undecided():
    def program(comm):
        while True:
            comm.Barrier()

    fault = run_ranks(2, program, options=Options(max_calls=100)).fault
    assert isinstance(fault, LimitReached)
    assert not fault.decides


def test_an_own_thread_may_not_communicate():
    def program(comm):
        raised = []

        def work():
            try:
                comm.Barrier()
            except Fault as error:
                raised.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return raised

    assert isinstance(run_ranks(1, program).fault, Unsupported)


@pytest.mark.parametrize(
    "call",
    [
        lambda comm: comm.Bcast(np.zeros(1), root=9),
        lambda comm: comm.Send(np.zeros(1), 0, tag=-1),
        lambda comm: comm.Recv([np.zeros(2), 3, MPI.DOUBLE], 0),
        lambda comm: comm.Allreduce(np.zeros(2), np.zeros(2), op=MPI.BAND),
        lambda comm: comm.Create_cart([2, 3]),
        lambda comm: comm.Create_dist_graph_adjacent([0], []),
        lambda comm: comm.Neighbor_allgather(np.zeros(1), np.zeros(4)),
        lambda comm: comm.Bsend(np.zeros(1), 0),
        lambda comm: comm.Rsend(np.zeros(1), 0),
        lambda comm: (comm.Free(), comm.Barrier()),
    ],
)
def test_what_mpi_forbids_is_named(call):
    assert isinstance(run_ranks(1, call).fault, InvalidCall)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda comm: comm.Spawn("other"), "Comm.Spawn"),
        (lambda comm: comm.Get_group(), "Comm.Get_group"),
        (lambda comm: MPI.File.Open(comm, "x"), "MPI.File"),
        (lambda comm: MPI.REQUEST_NULL.Get_status(), "Request.Get_status"),
        (lambda comm: MPI.INT.Pack(None, None, 0, comm), "Datatype.Pack"),
        (
            lambda comm: importlib.import_module("mpi4py.futures").MPIPoolExecutor(),
            "mpi4py.futures",
        ),
    ],
)
def test_what_is_not_simulated_is_named_and_undecided(call, name):
    with installed():
        fault = run_ranks(1, call).fault
    assert isinstance(fault, Unsupported)
    assert not fault.decides
    assert name in fault.reason
    assert fault.call.place.file == __file__


def test_a_misspelt_name_is_the_programs_fault():
    fault = run_ranks(1, lambda comm: comm.brodcast(1)).fault
    assert isinstance(fault, RankFailed)
    assert "'Comm' object has no attribute 'brodcast'" in fault.reason


def test_no_ranks_are_refused():
    with pytest.raises(UsageError, match="0 ranks"):
        run_ranks(0, lambda comm: None)


def test_what_is_installed_goes_again(monkeypatch):
    stand_in = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "mpi4py", stand_in)
    with installed() as mpi:
        imported = importlib.import_module("mpi4py.MPI")
        assert imported is mpi
        with pytest.raises(RuntimeError, match="only while ranks run"):
            imported.COMM_WORLD  # noqa: B018
    assert sys.modules["mpi4py"] is stand_in
    assert "mpi4py.MPI" not in sys.modules or sys.modules["mpi4py.MPI"] is not mpi


# --- Parts, against NumPy ---------------------------------------------------------------------

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3)


@few
@given(shapes, st.data())
def test_a_subarray_sends_what_slicing_gives(shape, data):
    starts = [data.draw(st.integers(0, n - 1)) for n in shape]
    sizes = [data.draw(st.integers(1, n - s)) for n, s in zip(shape, starts, strict=True)]
    box = tuple(slice(s, s + n) for s, n in zip(starts, sizes, strict=True))
    array = np.arange(float(np.prod(shape))).reshape(shape)
    kind = MPI.DOUBLE.Create_subarray(shape, sizes, starts).Commit()

    def program(comm):
        got, back = np.empty(sizes), np.zeros(shape)
        comm.Sendrecv([array, kind], 0, 0, got, 0)
        comm.Sendrecv(got, 0, 0, [back, kind], 0)
        return got, back

    got, back = run_ranks(1, program).check()[0]
    np.testing.assert_array_equal(got, array[box])
    expected = np.zeros(shape)
    expected[box] = array[box]
    np.testing.assert_array_equal(back, expected)


@few
@given(st.integers(1, 4), st.data())
def test_alltoallv_moves_every_block(ranks, data):
    counts = [[data.draw(st.integers(0, 3)) for _ in range(ranks)] for _ in range(ranks)]

    def program(comm):
        mine = counts[comm.rank]
        theirs = [counts[source][comm.rank] for source in range(ranks)]
        sent = np.repeat(np.arange(ranks), mine) + 10 * comm.rank
        got = np.empty(sum(theirs), dtype=int)
        comm.Alltoallv([sent, mine], [got, theirs])
        return got

    for rank, got in enumerate(run_ranks(ranks, program, seed=ranks).check()):
        expected = [10 * s + rank for s in range(ranks) for _ in range(counts[s][rank])]
        assert got.tolist() == expected


@few
@given(st.integers(1, 6), st.integers(0, 5), st.sampled_from(["SUM", "PROD", "MAX", "MIN"]))
def test_reductions_are_numpys(ranks, length, name):
    values = np.random.default_rng(length).integers(-4, 5, (ranks, length))
    function = {"SUM": np.sum, "PROD": np.prod, "MAX": np.max, "MIN": np.min}[name]

    def program(comm):
        whole = np.empty(length, dtype=int)
        comm.Allreduce(values[comm.rank], whole, op=getattr(MPI, name))
        return whole

    for whole in run_ranks(ranks, program).check():
        np.testing.assert_array_equal(whole, function(values, axis=0))


@few
@given(st.integers(1, 200), st.integers(1, 4))
def test_balanced_dims_multiply_to_the_ranks(ranks, count):
    dims = compute_dims(ranks, count)
    assert int(np.prod(dims)) == ranks
    assert dims == sorted(dims, reverse=True)


@few
@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_matched_sends_and_receives_never_deadlock(ranks, pairs):
    """Every rank begins all of its receives and sends, in any order of ranks, then waits."""
    pairs = [(source % ranks, dest % ranks) for source, dest in pairs]

    def program(comm):
        room = {tag: np.empty(1) for tag, (_, dest) in enumerate(pairs) if dest == comm.rank}
        requests = [comm.Irecv(room[tag], pairs[tag][0], tag) for tag in room]
        requests += [
            comm.Issend(np.full(1, float(tag)), dest, tag)
            for tag, (source, dest) in enumerate(pairs)
            if source == comm.rank
        ]
        MPI.Request.Waitall(requests)
        return all(value[0] == tag for tag, value in room.items())

    for seed in range(3):
        assert all(run_ranks(ranks, program, seed=seed).check())


def test_every_named_datatype_knows_its_size():
    assert {kind.extent for kind in NAMED.values()} >= {1, 2, 4, 8, 16}
    assert all(kind.Get_size() == kind.base.itemsize for kind in NAMED.values())
