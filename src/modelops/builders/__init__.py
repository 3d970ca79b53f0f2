"""What makes artifacts of models, as data: recipes, and the builders that know them (pure)."""
