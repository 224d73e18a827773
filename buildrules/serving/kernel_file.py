"""Files that Linux makes up: /proc (proc(5)) and /sys."""


def kernel_text(path: str) -> str:
    """The content; "" where there is none, or none any more."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
