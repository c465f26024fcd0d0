"""Confinement of drafts: namespaces, Landlock, seccomp and limits, and attacks that try them."""
