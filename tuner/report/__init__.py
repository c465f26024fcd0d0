"""One page about campaigns: what was read, what changed over time, figures, HTML."""
