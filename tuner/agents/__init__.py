"""Coding agents as drafters: tasks, drafts that are handed in, verdicts."""
