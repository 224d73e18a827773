"""Running a package: start its container, wait until it is ready, send it a request, stop it cleanly."""

RUNNERS = ("docker", "podman", "rootfs")
"""What runs packages, the most wanted first."""
