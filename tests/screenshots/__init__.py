"""Screenshots for the documentation, of a real run: `make screenshots`."""
