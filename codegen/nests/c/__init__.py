"""Programs as C17 with OpenMP."""
