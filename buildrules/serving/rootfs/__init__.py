"""Runs packages directly from their root file system, with nothing but Linux."""
