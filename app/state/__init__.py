"""The one observable session and the values in it; knows no widget."""
