"""Names of modalities that are offered before a model is known."""

COMMON = ("T2", "iUS", "T1", "ceT1", "FLAIR")
