"""Which hosts are this machine."""

from __future__ import annotations


def is_loopback(host: str) -> bool:
    """Whether a host name or address (without a port) is this machine's by its very name."""
    import ipaddress

    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
