"""Model files and the networks in them."""

__all__ = [
    "allocator",
    "base",
    "bundle",
    "cost",
    "family",
    "inference",
    "mhvae",
    "model_card",
    "onnx_export",
    "pix2pix",
    "published",
    "relabel",
    "resvit",
    "sampling",
    "slicing",
    "spade",
    "unet",
    "weights",
]
