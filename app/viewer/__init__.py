"""The panes in the middle of the window: slicing, composing, painting, mouse and keys."""

__all__ = [
    "area",
    "blend_slider",
    "colormaps",
    "column_titles",
    "commands",
    "compare",
    "geometry",
    "key_bindings",
    "overlay",
    "pane_geometry",
    "readout",
    "window_level",
]
