"""The rule language: schema, attribute types, substitution, catalogue."""
