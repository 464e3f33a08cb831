"""Exercises cut from the engine's own text, and the checks that mark them."""
