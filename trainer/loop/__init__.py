"""The training loop and all that goes round in it; needs torch."""
