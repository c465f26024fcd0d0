"""Which variants of a CUDA draft are looked at, and what the verdict is; see also the simulator."""

import numpy as np
import pytest
from jaxtyping import Float64

import outpace
from outpace.model import Draft, Parameter, Status
from outpace.tuner import unplugged, untimed
from outpace.tuner.evaluate import trial_of
from outpace.tuner.unplugged import ONLY_CHECKED, judge_unplugged


def doubled(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return x + x


REFERENCE = outpace.reference(doubled, workloads={"only": {"n": 64}}).reference
BLOCK = Parameter("BLOCK", (32, 64, 128, 256, 512, 1024))


@pytest.fixture
def looked_at(monkeypatch):
    """Stands for the simulator: ends a variant as its test says; gives those it was asked for."""
    asked = []
    ends = {}

    def check(checked, variant, *, accept_risk):
        asked.append(variant.params)
        return trial_of(variant, ends.get(variant.params.get("BLOCK"), Status.CHECKED), "so it is")

    monkeypatch.setattr(unplugged, "check_cuda", check)
    monkeypatch.setattr(unplugged, "check_reference", lambda reference, seed: Checked)
    return asked, ends


class Checked:
    notes = ("a note",)


def test_a_draft_without_parameters_is_one_variant(looked_at):
    result = judge_unplugged(REFERENCE, Draft("cuda", "code"))
    assert looked_at[0] == [{}]
    assert (result.verdict, result.promotion) == (Status.CHECKED, None)
    assert result.notes[0] == "a note"
    assert result.notes[-1] == ONLY_CHECKED


def test_of_many_variants_the_defaults_and_some_others_are_looked_at(looked_at):
    judge_unplugged(REFERENCE, Draft("cuda", "code", (BLOCK,), ("BLOCK != 64",)))
    blocks = [params["BLOCK"] for params in looked_at[0]]
    assert blocks[0] == 32
    assert len(set(blocks)) == len(blocks) == untimed.VARIANTS
    assert 64 not in blocks


def test_defaults_that_the_constraints_refuse_are_left_out(looked_at):
    judge_unplugged(REFERENCE, Draft("cuda", "code", (BLOCK,), ("BLOCK > 256",)))
    assert {params["BLOCK"] for params in looked_at[0]} == {512, 1024}


@pytest.mark.parametrize(
    ("ends", "verdict", "count"),
    [
        ({32: Status.WRONG}, Status.WRONG, 1),
        ({32: Status.BUILD_FAILED}, Status.CHECKED, 4),
        (dict.fromkeys(BLOCK.values, Status.BUILD_FAILED), Status.BUILD_FAILED, 4),
        (dict.fromkeys(BLOCK.values[1:], Status.CRASHED), Status.CRASHED, 2),
        ({32: Status.INCONCLUSIVE}, Status.INCONCLUSIVE, 1),
    ],
)
def test_the_first_failure_but_of_a_build_decides(looked_at, ends, verdict, count):
    asked, planned = looked_at
    planned.update(ends)
    result = judge_unplugged(REFERENCE, Draft("cuda", "code", (BLOCK,)))
    assert (result.verdict, len(asked)) == (verdict, count)
    assert len(result.trials) == count
    assert (ONLY_CHECKED in result.notes) is (verdict is Status.CHECKED)
