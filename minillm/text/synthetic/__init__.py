"""Synthetic texts and tasks, of which the best possible score is known."""
