"""What a command line says of how its targets are selected, settled and planned."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildrules.errors import UsageError
from buildrules.rules.selects import PLATFORMS


class Options(NamedTuple):
    """The options of all verbs that concern more than what is shown."""

    platform: str | None = None
    """The one platform that is asked for."""
    configurations: tuple[str, ...] = ()
    """Those of the workspace's configurations that hold."""
    host_platform: str | None = None
    """That of this machine, of verbs that start an image or hand it to an engine here."""
    with_tags: tuple[str, ...] = ()
    """Of what the patterns name only targets with one of these tags, and none with one that stands behind a minus."""
    done: str | None = None
    """What packages become: patterns that name none are an error."""
    one: bool = False
    """Or patterns that name several."""
    test: bool = False
    """Packages are to be tested."""
    runner: str | None = None
    """What starts them."""
    gpus: str | None = None
    """The GPUs that one has."""
    timeout: float | None = None
    """Seconds that one has."""
    locked: bool = False
    """A lock that would have to be made is an error."""
    preview: bool = False
    """Nothing is made, only what would be is told."""
    locking: bool = False
    """Models and inputs are locked by themselves."""
    relock: bool = False
    """The locks of the named targets are made anew."""
    upgrade: bool = False
    """And their pins given up."""
    upgrade_packages: tuple[str, ...] = ()
    """And the pins of these."""
    sync: tuple[str, ...] = ()
    """And those of the environments of these groups get equal versions, as far as that goes."""
    source_date_epoch: str | None = None
    """The time that images carry."""

    def platforms(self, available: Sequence[str]) -> list[str]:
        """The platforms that images are for, of a workspace with these. Raises UsageError."""
        if not self.platform:
            host = self.host_platform
            return [host] if host is not None and host in available else list(available)
        if self.platform not in PLATFORMS:
            raise UsageError(f"no platform '{self.platform}'", hint=f"there are {' and '.join(PLATFORMS)}")
        return [self.platform]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Options":
        """Those among the options of a verb."""
        return cls(**{name: given[name] for name in cls._fields if given.get(name) is not None})
