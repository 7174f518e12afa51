"""Readers of manifest files: YAML, CSV, TSV, JSONL and TXT."""
