"""Model files and the networks in them."""

__all__ = [
    "allocator",
    "bundle",
    "mhvae",
    "model_card",
    "onnx_export",
    "published",
    "relabel",
    "slicing",
    "weights",
]
