"""The public names, and what importing them costs."""

import subprocess
import sys

import pytest

import outpace

HEAVY = {"cupy", "hypothesis", "jaxtyping", "mpi4py", "msgspec", "numba", "numpy", "openai"}


def test_the_exported_names_are_these_and_sorted():
    assert outpace.__all__ == [
        "Block",
        "Boundary",
        "Choice",
        "Combination",
        "Constant",
        "Contract",
        "Draft",
        "Integers",
        "Normal",
        "OutpaceError",
        "Pencil",
        "Promotion",
        "Recorded",
        "Reduced",
        "Replicated",
        "Ring",
        "Status",
        "Tolerance",
        "Trial",
        "Uniform",
        "Used",
        "__version__",
        "judge",
        "optimize",
        "reference",
        "tune",
        "used",
    ]


@pytest.mark.parametrize("name", outpace.__all__)
def test_every_exported_name_is_there_under_its_own_name(name):
    value = getattr(outpace, name)
    assert value is getattr(outpace, name)
    assert getattr(value, "__name__", "__version__") == name
    assert name in dir(outpace)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'outpace' has no attribute 'optimise'"):
        _ = outpace.optimise


def imported_by(program):
    """Top-level names of the modules that a program has imported at its end."""
    text = f"{program}\nimport sys; print(' '.join({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy():
    assert imported_by("import outpace") & HEAVY == set()


def test_the_decorator_and_the_distributions_need_numpy_and_msgspec_alone():
    used = "from outpace import Block, Tolerance, Uniform, optimize, reference"
    assert imported_by(used) & HEAVY == {"msgspec", "numpy"}
