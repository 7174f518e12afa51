"""Media files: types by their bytes, dimensions, embedded metadata."""
