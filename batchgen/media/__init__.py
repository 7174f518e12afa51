"""File types by their bytes, dimensions, embedded metadata."""
