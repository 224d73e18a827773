"""The registry names every built-in kind with its version, and takes plugins."""

import pytest

from buildrules.actions import registry
from buildrules.engine.kind import Traits
from buildrules.errors import UsageError


@pytest.mark.parametrize("name", registry.kind_names())
def test_names_and_versions_are_the_classes_own(name):
    kind = registry.kind_named(name)
    assert kind.name == name
    assert kind.version == registry.kind_version(name)


def test_an_unknown_kind_says_where_kinds_come_from():
    with pytest.raises(UsageError) as caught:
        registry.kind_named("no_such_kind")
    assert "workspace.plugins" in (caught.value.hint or "")


def test_a_plugin_adds_a_kind_once_and_takes_no_name_that_is_taken():
    class Mine:
        name = "mine_of_this_test"
        version = 7

        traits = Traits()

        def run(self, step, context):
            raise AssertionError

    registry.register(Mine())
    registry.register(Mine())
    assert registry.kind_version("mine_of_this_test") == 7

    class Other(Mine):
        pass

    with pytest.raises(UsageError):
        registry.register(Other())
    Mine.name = "image"
    with pytest.raises(UsageError):
        registry.register(Mine())
