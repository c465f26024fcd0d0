"""Loop nests: lift array code to an intermediate representation, transform it, emit source."""
