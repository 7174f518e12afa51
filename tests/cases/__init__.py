"""Recorded behaviours of real services, run against the command with a server on loopback.

The cases are `../shared/cases/providers/cases.jsonl`; their README describes how a case is written.
`python -m tests.cases [NAME …] [--kind KIND …]` runs them and prints what does not hold.
"""
