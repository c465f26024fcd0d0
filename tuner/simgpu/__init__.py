"""The simulated GPU: drafts in CUDA are checked on the CPU, without a GPU and without timing.

Device source is compiled for the CPU into an executable of its own, in which the threads of a block
are fibres. Nothing of it is loaded into the judge; see docs/simulated-gpu.md.
"""
