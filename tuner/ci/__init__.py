"""The regression suite: what a change of a repository does to promoted functions."""
