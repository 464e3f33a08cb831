"""Sources of texts: files, folders, archives, the standard library, the web."""
