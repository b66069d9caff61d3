"""What runs inside the engine process."""
