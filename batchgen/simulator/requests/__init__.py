"""Requests, checked by the vendor's specs."""
