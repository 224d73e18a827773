"""The runners there are, by name, the most wanted first."""

NAMES = ("docker", "podman", "rootfs")
