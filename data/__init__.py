"""Package data of minillm: the catalogue of corpora, and texts of our own."""
