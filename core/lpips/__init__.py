"""LPIPS, the perceptual distance of Zhang et al. 2018 (arXiv 1801.03924), from a user's weights."""

__all__ = ["distance", "layouts", "weights"]
