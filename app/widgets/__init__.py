"""What the widgets of several rooms share."""
