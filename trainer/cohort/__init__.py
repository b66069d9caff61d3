"""The cases of a training: found, paired, checked, split, prepared."""
