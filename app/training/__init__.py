"""Training runs, models and the wizard."""
