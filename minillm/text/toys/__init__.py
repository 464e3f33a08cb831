"""Small tasks whose best answer is known: what a model can learn, shown in a minute."""
