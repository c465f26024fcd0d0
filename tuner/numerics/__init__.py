"""Which results count as those of the reference, and the cases that tell."""
