"""The synthesis engine as a process of its own, and the window's side of the conversation."""
