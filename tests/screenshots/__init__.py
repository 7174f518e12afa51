"""Screenshots of the documentation, from a real run: `make screenshots`."""
