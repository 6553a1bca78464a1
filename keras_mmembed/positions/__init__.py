"""Positional encodings: where a token stands, as vectors."""
