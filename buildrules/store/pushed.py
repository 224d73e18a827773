"""Which repository of a registry got a layer from here, or had it: others of that registry can have it from there."""

from buildrules.store.table import Table

PREFIX = "p:"


class Pushed:
    """Repositories by registry and digest, in a table. A hint: whoever uses one asks the registry."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known: dict[str, str | None] = {}

    def place(self, host: str, digest: str) -> str | None:
        """The repository of the registry `host` that had the blob last, None where none was noted."""
        key = f"{PREFIX}{host}/{digest}"
        if key not in self._known:
            row = self._table.get(key)
            self._known[key] = row.decode(errors="replace") if row is not None else None
        return self._known[key]

    def hosts(self) -> set[str]:
        """The registries that something was noted of."""
        return {key.removeprefix(PREFIX).partition("/sha256:")[0] for key in self._table.keys(PREFIX)}

    def note(self, host: str, digest: str, repository: str) -> None:
        """Keep that a repository has a blob. A failing table loses it, which costs an upload later and nothing else."""
        if self.place(host, digest) != repository:
            key = f"{PREFIX}{host}/{digest}"
            self._known[key] = repository
            self._table.set(key, repository.encode())
