"""Opening, importing, saving, projects."""
