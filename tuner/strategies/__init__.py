"""Search strategies, one a file."""
