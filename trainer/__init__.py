"""Training of MHVAE models; no Qt."""
