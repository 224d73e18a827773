"""A second package that shares environment and server: what is rebuilt, read again and sent again of them."""

import json

from benchmarks.common import Place, place, table, verdict


def measure(where: Place) -> dict[str, int]:
    """Build one example, then its neighbour; counts of what the second one cost."""
    first = json.loads(where.buildrules("build", "//models:regressor", "--json"))
    second = json.loads(where.buildrules("build", "//models:iris", "--json"))
    shared = {layer["digest"] for layer in first["targets"][0]["layers"]}
    layers = second["targets"][0]["layers"]
    own = [layer for layer in layers if layer["digest"] not in shared]
    own_files = sum(
        path.stat().st_size
        for part in ("model", "src")
        for path in (where.workspace / "models" / "iris" / part).rglob("*")
        if path.is_file()
    )
    return {
        "layers": len(layers),
        "own": len(own),
        "rebuilt": sum(layer["status"] == "built" for layer in layers if layer["digest"] in shared),
        "read": second["bytes"]["read"],
        "own_files": own_files,
        "fetched": second["bytes"]["fetched"],
    }


def main() -> None:
    """Measure and print."""
    with place() as where:
        found = measure(where)
    table(
        "Second package, same environment and server",
        [
            (
                "layers of the second package; its own",
                f"{found['layers']}; {found['own']}",
                f"two of its own: {verdict(found['own'] == 2)}",
            ),
            ("shared layers rebuilt", str(found["rebuilt"]), f"0: {verdict(found['rebuilt'] == 0)}"),
            (
                "bytes read; its own model and code, once to hash and once to pack",
                f"{found['read']:,}; {2 * found['own_files']:,}",
                f"no more: {verdict(found['read'] <= 2 * found['own_files'])}",
            ),
            ("bytes fetched", str(found["fetched"]), f"0: {verdict(found['fetched'] == 0)}"),
        ],
    )


if __name__ == "__main__":
    main()
