"""Transforms and landmarks, the ways to register two volumes, and whether to trust a result."""

__all__ = [
    "alignment",
    "alignment_choice",
    "landmarks",
    "methods",
    "pair",
    "picture",
    "register",
    "similarity",
    "through_model",
    "transforms",
]
