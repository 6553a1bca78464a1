"""Positional encodings: the position of each token, as vectors."""
