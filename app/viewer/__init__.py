"""The panes in the middle of the window: slicing, composing, painting, mouse and keys."""
