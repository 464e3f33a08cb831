"""Tables of texts: rows of CSV, TSV and JSON, and the columns that are read."""
