"""What all families of models share: configuration, network, norms."""

__all__ = ["config", "network", "norm"]
