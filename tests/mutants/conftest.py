"""The tables lie beside the tests and are shared with benchmarks/mutants.py."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
