"""What actions do: files, models, wheels, Debian packages, images."""
