"""A model for a server."""
