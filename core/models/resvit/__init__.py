"""ResViT (Dalmaz et al., IEEE TMI 2022): residual convolutions and a transformer, any subset."""

__all__ = ["config", "model", "vit_weights"]
