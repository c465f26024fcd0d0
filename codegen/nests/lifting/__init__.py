"""Lifting: Python and NumPy source to the intermediate representation."""
