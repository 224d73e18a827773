"""The registry names every built-in kind with its version, and takes plugins."""

import pytest

from buildrules.actions import registry
from buildrules.engine.kind import Traits
from buildrules.errors import UsageError
from buildrules.net.session import Session


@pytest.mark.parametrize("name", registry.built_in())
def test_names_and_versions_are_the_classes_own(name):
    kinds = Session().own(registry.Kinds)
    kind = kinds.named(name)
    assert kind.name == name
    assert kind.version == kinds.version(name)


def test_an_unknown_kind_says_where_kinds_come_from():
    with pytest.raises(UsageError) as caught:
        Session().own(registry.Kinds).named("no_such_kind")
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
    kinds, others = Session().own(registry.Kinds), Session().own(registry.Kinds)
    kinds.plugins = "0123456789abcdef" * 4
    assert kinds.version("mine_of_this_test") == "7+0123456789abcdef"
    assert others.version("mine_of_this_test") == 7, "another session's plugins are made of other code"

    class Other(Mine):
        pass

    with pytest.raises(UsageError):
        registry.register(Other())
    Mine.name = "image"
    with pytest.raises(UsageError):
        registry.register(Mine())
