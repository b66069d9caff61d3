"""The MHVAE of Dorent et al. (MICCAI 2023), equation by equation."""
