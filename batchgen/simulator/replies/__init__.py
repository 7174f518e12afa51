"""Handlers and reply bodies of each API family."""
