"""Loop nests as CUDA C++ device source with a launch plan."""
