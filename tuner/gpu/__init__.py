"""Judging kernels on a GPU: how their processes are confined, timed, and what they are held to."""
