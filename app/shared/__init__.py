"""What every room of the window shares: the context, commands, style, wording."""
