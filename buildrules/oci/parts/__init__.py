"""What a recipe part expands to: one file per part kind."""
