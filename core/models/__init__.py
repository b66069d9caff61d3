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
    "slicing",
    "spade",
    "unet",
    "weights",
]
