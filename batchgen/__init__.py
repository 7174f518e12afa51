"""A manifest of prompts in; generated assets and a results manifest out."""

__version__ = "0.1.0"
