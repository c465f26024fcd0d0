"""Where there is no compiler, drafts are in Numba alone, and that is said once."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float64

import outpace
from outpace.errors import UsageError
from outpace.kernels.languages import languages_here
from outpace.kernels.languages.c import CLanguage
from outpace.tuner import api


@outpace.optimize(workloads={"w": {"n": 4}})
def double(a: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return a + a


class Told:
    """Keeps what a campaign tells."""

    def __init__(self):
        self.texts = []

    def notice(self, event):
        self.texts.append(event.text)


@pytest.fixture
def without_compiler(monkeypatch):
    monkeypatch.setattr(CLanguage, "unavailable", lambda _: "no C compiler; install gcc")


@pytest.mark.usefixtures("without_compiler")
def test_a_language_that_cannot_be_built_is_left_out_and_told():
    assert languages_here() == ("numba",)
    told = Told()
    with pytest.raises(UsageError, match="magic"):
        api.tune(double, drafter="magic", observer=told)
    assert told.texts == ["no drafts in c: no C compiler; install gcc"]


@pytest.mark.usefixtures("without_compiler")
def test_languages_that_were_asked_for_are_not_commented_on():
    told = Told()
    with pytest.raises(UsageError, match="magic"):
        api.tune(double, drafter="magic", languages=["numba"], observer=told)
    assert told.texts == []
