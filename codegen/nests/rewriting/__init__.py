"""Rewriting: programs to faster programs of the same meaning, one pass a file."""
