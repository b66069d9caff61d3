"""Model files and the networks in them."""

__all__ = ["allocator", "bundle", "mhvae", "published", "relabel", "weights"]
