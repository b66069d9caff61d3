"""The MHVAE of Dorent et al. (MICCAI 2023), equation by equation, and the paper's MVAE."""

__all__ = ["config", "model", "mvae"]
