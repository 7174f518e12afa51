"""Requests, checked against the vendor's specs."""
