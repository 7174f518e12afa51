"""A loopback server that behaves like the AI/ML API, with faults.

It reads the vendor's specs and pages itself and shares nothing with the endpoints and the
catalogue, so that an error in those is not checked against itself.
"""
