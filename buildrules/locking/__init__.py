"""Resolves what targets ask for, and keeps the answers in locks."""
