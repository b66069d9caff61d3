"""SPADE (Park et al., CVPR 2019): the input modulates every norm, one model a direction."""

__all__ = ["config", "model"]
