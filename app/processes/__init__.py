"""The only room that starts threads and processes."""
