"""MPI decompositions: who owns what, which plans there are, and the programs made from them."""
