"""Running the model on the case: panel, results, experts."""
