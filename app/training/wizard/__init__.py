"""The trainer wizard: from a folder of cases to a run, step by step; it computes nothing itself."""
