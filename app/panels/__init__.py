"""The docks around the viewers: case, synthesis, results, experts, messages; and the strips."""
