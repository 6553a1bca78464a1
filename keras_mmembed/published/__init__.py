"""Weights of published checkpoints: their files, and what goes where, as data."""
