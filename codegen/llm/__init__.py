"""Drafting by a language model: requests, budgets, recorded exchanges, lineages."""
