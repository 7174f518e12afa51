"""Replies of each API family."""
