"""Mutants that no check can tell from the solution, and why."""

EQUIVALENT = []
