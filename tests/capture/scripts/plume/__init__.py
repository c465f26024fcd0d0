"""Transport of a tracer plume by wind."""
