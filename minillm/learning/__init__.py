"""Learning: what turns token ids into weights. It knows no folder and no terminal."""
