"""Running a package: start it, wait until it is ready, stop it."""
