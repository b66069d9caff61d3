"""Pix2Pix (Isola et al., CVPR 2017): a U-Net with a conditional PatchGAN, one model a direction."""

__all__ = ["config", "model"]
