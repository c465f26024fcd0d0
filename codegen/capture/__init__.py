"""Watching a program run: its hot functions, what they are called with, and references for them."""
