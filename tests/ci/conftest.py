"""Scratch repositories: a function with a promoted kernel in C, changed by commits."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from outpace.codegen.reference import load_reference
from outpace.kernels import promotions
from outpace.kernels.languages import language_named
from outpace.kernels.target import current_target
from outpace.model import Draft, Evidence, Grade, Promotion, Provenance, Speedup, Variant

MODULE = """import numpy as np
import outpace
from jaxtyping import Float64


@outpace.optimize(workloads={{"only": {{"n": 20000}}}})
def {name}(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.sqrt(u * u + {constant})
"""
KERNEL = """#include <math.h>

void kernel(int64_t n, const double *restrict u, double *restrict out)
{
    for (int repeat = 0; repeat < %d; repeat++) {
        for (int64_t i = 0; i < n; i++)
            out[i] = sqrt(u[i] * u[i] + %s);
        __asm__ volatile("" ::: "memory");
    }
}
"""


@dataclass
class Scratch:
    """A git repository with one promoted function; `work` is the times its kernel does its work."""

    folder: Path
    name: str

    @property
    def module(self) -> Path:
        return self.folder / f"{self.name}.py"

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=n", "-c", "user.email=n@example.org")
        command = ["git", "-C", str(self.folder), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def write_module(self, constant: str = "1.0") -> None:
        self.module.write_text(MODULE.format(name=self.name, constant=constant))

    def promote(self, work: int = 20, constant: str = "1.0") -> Path:
        """Put a kernel in the place of those that were promoted; nothing judges it."""
        reference = load_reference(f"{self.module}:{self.name}")
        folder = promotions.folder_for(reference)
        for path in folder.glob("*"):
            promotions.remove(path)
        target, workloads = current_target(), reference.contract.workloads
        draft = Draft("c", KERNEL % (work, constant), provenance=Provenance("user", idea="in C"))
        evidence = tuple(
            Evidence(w, Speedup(2.0, 2.0, 2.0), (), "native", {}, 0.01) for w in workloads
        )
        key = promotions.key_for(reference, target, workloads)
        made = (reference.name, key, Variant(draft), evidence, target, Grade.B, reference.contract)
        return promotions.write(Promotion(*made), reference)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "xdg" / name.lower()))
    for name in ("CI", "OUTPACE_DISABLE", "OUTPACE_PROMOTED", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "path", sys.path[:])


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """One with a first commit, which is the current folder."""
    if language_named("c").unavailable():
        pytest.skip(f"needs a C compiler: {language_named('c').unavailable()}")
    folder = tmp_path / "repository"
    folder.mkdir()
    found = Scratch(folder, f"scratch_{abs(hash(tmp_path))}")
    found.git("init", "--quiet")
    found.write_module()
    found.promote()
    found.commit()
    monkeypatch.chdir(folder)
    return found
