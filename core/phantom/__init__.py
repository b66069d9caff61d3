"""Simulated T2 and iUS pairs with known truth."""
