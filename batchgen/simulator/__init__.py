"""A loopback server that behaves like the AI/ML API, with faults.

It is written from the vendor's specs and pages and shares no code with `provider`, so that a wrong
adapter fails against it.
"""
