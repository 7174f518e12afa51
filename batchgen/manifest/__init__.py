"""Streams rows from YAML, CSV, TSV, JSONL, TXT and OpenAI Batch lines; names and identities."""
