"""What the tests of the simulation share."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def programs():
    """The module that runs the correct programs."""
    path = Path(__file__).with_name("programs.py")
    spec = importlib.util.spec_from_file_location("simcomm_programs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
