"""Transforms and landmarks, and the search for an alignment."""
