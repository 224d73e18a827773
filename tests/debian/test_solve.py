"""Resolution over indexes written by hand."""

import re

import pytest

from buildrules.errors import IntegrityError, ResolutionError
from buildrules.locking.debian import relations
from buildrules.locking.debian.packages import Index, Universe
from buildrules.locking.debian.request import DebianRequest
from buildrules.locking.debian.solve import solve


def stanza(name: str, version: str = "1", **fields: str) -> str:
    lines = [f"Package: {name}", f"Version: {version}", f"Architecture: {fields.pop('arch', 'amd64')}"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in fields.items()]
    path = f"pool/main/{name}_{version.rpartition(':')[2]}.deb"
    return "\n".join([*lines, f"Filename: {path}", "Size: 10", f"SHA256: {'0' * 64}"]) + "\n"


def universe(*stanzas: str, security: tuple[str, ...] = ()) -> Universe:
    indexes = [Index("\n".join(stanzas).encode(), "main"), Index("\n".join(security).encode(), "security")]
    return Universe(indexes, "amd64")


BASE = tuple(stanza(name) for name in ("base-files", "ca-certificates", "libc6", "netbase", "tzdata"))


def names(world: Universe, *packages: str, **options: object) -> list[str]:
    """What is chosen besides the base, as "name version"."""
    request = DebianRequest("base", "bookworm", packages=packages, python=options.pop("python", False), **options)  # type: ignore[arg-type]
    base = {"base-files", "ca-certificates", "libc6", "netbase", "tzdata"}
    return [str(one.package) for one in solve(request, world) if one.package.name not in base]


def test_closure_follows_depends_and_pre_depends_and_nothing_else() -> None:
    world = universe(
        *BASE,
        stanza("a", Depends="b (>= 1), c:any", Pre_Depends="d", Recommends="r", Suggests="s"),
        *(stanza(name) for name in "bcdrs"),
    )
    assert names(world, "a") == ["a 1", "b 1", "c 1", "d 1"]


def test_cycles_end() -> None:
    assert names(universe(*BASE, stanza("a", Depends="b"), stanza("b", Depends="a")), "a") == ["a 1", "b 1"]


def test_the_newest_version_of_any_archive_wins() -> None:
    world = universe(*BASE, stanza("a", "1.9"), security=(stanza("a", "1.10"),))
    request = DebianRequest("base", "bookworm", packages=("a",), python=False)
    chosen = {one.package.name: one.package for one in solve(request, world)}["a"]
    assert (chosen.version, chosen.archive) == ("1.10", "security")


def test_an_older_version_is_taken_where_only_it_fits() -> None:
    world = universe(
        *BASE, stanza("a", "1"), stanza("a", "2"), stanza("b", Depends="a (<< 2)"), stanza("c", Depends="a")
    )
    assert names(world, "b", "c") == ["a 1", "b 1", "c 1"]


def test_an_older_asker_is_taken_where_the_newest_cannot_be_satisfied() -> None:
    world = universe(*BASE, stanza("a", "2", Depends="gone"), stanza("a", "1"))
    assert names(world, "a") == ["a 1"]


def test_alternatives_prefer_what_is_chosen_then_the_first() -> None:
    world = universe(*BASE, stanza("a", Depends="x | y"), stanza("b", Depends="y"), stanza("x"), stanza("y"))
    assert names(world, "a") == ["a 1", "x 1"]
    assert names(world, "a", "b") == ["a 1", "b 1", "y 1"]
    assert names(universe(*BASE, stanza("a", Depends="x | y"), stanza("y")), "a") == ["a 1", "y 1"]


def test_provides_satisfies_a_version_only_with_a_version() -> None:
    plain = stanza("p", Provides="virtual")
    versioned = stanza("q", Provides="virtual (= 5)")
    assert names(universe(*BASE, stanza("a", Depends="virtual"), plain), "a") == ["a 1", "p 1"]
    assert names(universe(*BASE, stanza("a", Depends="virtual (>= 4)"), plain, versioned), "a") == ["a 1", "q 1"]
    with pytest.raises(ResolutionError, match=r"a 1 needs 'virtual \(>= 6\)'"):
        names(universe(*BASE, stanza("a", Depends="virtual (>= 6)"), plain, versioned), "a")


def test_conflicts_choose_another_alternative_or_fail() -> None:
    world = universe(
        *BASE,
        stanza("a", Depends="x | y"),
        stanza("x", Conflicts="b"),
        stanza("y"),
        stanza("b"),
        stanza("c", Breaks="b (<< 2)"),
    )
    assert names(world, "b", "a") == ["a 1", "b 1", "y 1"]
    with pytest.raises(ResolutionError, match="conflicts with b 1"):
        names(world, "b", "c")
    # A package may conflict with what it provides itself: that excludes the other providers only.
    assert names(universe(*BASE, stanza("m", Provides="mta", Conflicts="mta")), "m") == ["m 1"]


def test_unsatisfiable_says_who_needs_what() -> None:
    world = universe(*BASE, stanza("a", Depends="b"), stanza("b", Depends="c (>= 2)"), stanza("c"))
    with pytest.raises(ResolutionError) as caught:
        names(world, "a")
    text = caught.value.message
    assert "b 1 needs 'c (>= 2)'" in text
    assert "c is there as 1" in text
    assert "b is asked for by a is asked for by base" in text


def test_unknown_package() -> None:
    with pytest.raises(ResolutionError, match="base asks for 'nonesuch', which bookworm/amd64 does not have"):
        names(universe(*BASE), "nonesuch")


def test_what_maintainer_scripts_need_is_left_out_unless_asked_for() -> None:
    world = universe(*BASE, stanza("a", Depends="debconf | debconf-2.0, dpkg, z"), stanza("debconf"), stanza("z"))
    assert names(world, "a") == ["a 1", "z 1"]
    assert names(world, "a", "debconf") == ["a 1", "debconf 1", "z 1"]


def test_a_version_can_be_asked_for() -> None:
    assert names(universe(*BASE, stanza("a", "1"), stanza("a", "2")), "a (= 1)") == ["a 1"]


@pytest.mark.parametrize("minor", ["11", "13"])
def test_python_of_the_suite(minor: str) -> None:
    python = f"python3.{minor}-minimal"
    world = universe(
        *BASE,
        *(stanza(name) for name in ("libgcc-s1", "libgomp1", "libstdc++6", "zlib1g", "python3.9-minimal")),
        stanza("python3-minimal", Depends=f"dpkg, {python} (>= 3~)"),
        stanza(python, "3.1", Depends=f"libpython3.{minor}-minimal (= 3.1)"),
        stanza(f"libpython3.{minor}-minimal", "3.1"),
        stanza(f"libpython3.{minor}-stdlib", "3.1", Depends="media-types, libreadline8t64, libtinfo6, libbz2-1.0"),
        stanza("libbz2-1.0"),
        stanza("libtinfo6"),
    )
    found = names(world, python=True)
    assert [one for one in found if "3.1" in one] == [
        f"libpython3.{minor}-minimal 3.1", f"libpython3.{minor}-stdlib 3.1", f"python3.{minor}-minimal 3.1"
    ]  # fmt: skip
    assert "libbz2-1.0 1" in found
    assert "libtinfo6 1" not in found
    with pytest.raises(ResolutionError, match=r"has no python '3\.7'; it has 3\.9, 3\."):
        names(world, python="3.7")


def test_the_result_does_not_depend_on_the_order_of_stanzas() -> None:
    stanzas = [
        *BASE,
        stanza("a", Depends="x | y, v"),
        stanza("x"),
        stanza("y"),
        stanza("p", Provides="v"),
        stanza("q", Provides="v"),
    ]
    assert names(universe(*stanzas), "a") == names(universe(*reversed(stanzas)), "a") == ["a 1", "p 1", "x 1"]


def test_relations_are_read_as_dpkg_reads_them() -> None:
    groups = relations.parse("libc6 (>= 2.36), a:any|b(<<1:2~) , c [amd64] <!nocheck>,")
    assert [relations.show(group) for group in groups] == ["libc6 (>= 2.36)", "a:any | b (<< 1:2~)", "c"]
    with pytest.raises(ResolutionError, match="cannot read the package relation 'a b'"):
        relations.parse("a b")


def test_hostile_indexes() -> None:
    with pytest.raises(IntegrityError, match="not a path inside the archive"):
        universe(stanza("a").replace("pool/main/a_1.deb", "pool/../../etc/passwd")).named("a")
    with pytest.raises(IntegrityError, match="not a path inside the archive"):
        universe(stanza("a").replace("pool/main/a_1.deb", "/etc/passwd")).named("a")
    with pytest.raises(IntegrityError, match="has no field 'SHA256'"):
        universe(re.sub("SHA256: .*\n", "", stanza("a"))).named("a")
