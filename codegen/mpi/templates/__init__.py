"""Pieces of MPI programs: ordinary modules, whose text is put into the programs as it stands.

`outpace.codegen.mpi.emit` leaves out their docstrings and imports. They know nothing of outpace, so
that a program runs without it.
"""
