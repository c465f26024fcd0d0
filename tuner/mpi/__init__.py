"""Judging of drafts for MPI ranks: on simulated ranks first, then under a real `mpiexec`."""
