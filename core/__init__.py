"""The engine: volumes, the MHVAE model and synthesis; works with no screen and no Qt."""
