"""uv against an index on 127.0.0.1."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from buildrules.actions.python.target import Target
from buildrules.actions.python.uvtool import uv_binary
from buildrules.errors import BuildrulesError, FetchError, ResolutionError
from buildrules.locking.python.lock import lock_text, read_lock, write_lock
from buildrules.locking.python.requirements import collect
from buildrules.locking.python.resolve import make_lock, stale
from buildrules.net.session import Session
from tests.support.local import Plain
from tests.support.steps import made, step

from .conftest import ARM64, TOKEN, Asking, Index, make_wheel, project_files, sha256


def pins(lock: object) -> dict[str, str]:
    return {package.name: package.version for package in lock.packages}  # type: ignore[attr-defined]


def everything(error: BuildrulesError) -> str:
    found, seen = "", error
    while seen is not None:
        found += str(seen) + str(vars(seen))
        seen = seen.__cause__  # type: ignore[assignment]
    return found


def test_locks_one_file_per_package_for_the_platform(feed: Index, root: Path, asking: Asking) -> None:
    feed.add("aa", "1.0", requires=["bb>=1", "gpu; platform_machine == 'x86_64'", "winonly; sys_platform == 'win32'"])
    for tag in ("manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "win_amd64"):
        feed.add("bb", "1.5", tag=f"cp311-cp311-{tag}")
    feed.add("gpu", "3.0")
    lock = make_lock(asking("aa"), Session())
    assert pins(lock) == {"aa": "1.0", "bb": "1.5", "gpu": "3.0"}
    file = lock.packages[1].file
    assert file is not None
    assert file.filename == "bb-1.5-cp311-cp311-manylinux_2_28_x86_64.whl"
    assert (file.sha256, file.size) == (sha256(feed.files[file.filename]), len(feed.files[file.filename]))
    assert file.url == feed.file_url(file.filename)
    arm = make_lock(asking("aa", target=ARM64), Session())
    assert pins(arm) == {"aa": "1.0", "bb": "1.5"}
    assert arm.packages[1].params()["filename"] == "bb-1.5-cp311-cp311-manylinux_2_28_aarch64.whl"
    assert read_lock(str(root), write_lock(lock, str(root))) == lock


def test_python_of_the_image_counts_not_that_of_the_host(feed: Index, asking: Asking) -> None:
    feed.add("aa", "1.0", python=">=3.8")
    feed.add("aa", "2.0", python=">=3.11.4")
    assert pins(make_lock(asking("aa"), Session())) == {"aa": "1.0"}


def test_wheels_of_the_free_threaded_build_are_locked_for_it_alone(feed: Index, asking: Asking) -> None:
    for tag in ("cp313-cp313t-manylinux_2_17_x86_64", "cp313-cp313-manylinux_2_17_x86_64"):
        feed.add("aa", "1.0", tag=tag)
    feed.add("aa", "2.0", tag="cp313-cp313-manylinux_2_17_x86_64")
    for python, name in (("3.13.5t", "aa-1.0-cp313-cp313t-"), ("3.13.5", "aa-2.0-cp313-cp313-")):
        lock = make_lock(asking("aa", target=Target("linux/amd64", python)), Session())
        assert lock.packages[0].params()["filename"].startswith(name)


def test_a_wheel_is_worth_an_older_version_where_nobody_can_build(feed: Index, asking: Asking) -> None:
    wheel = "cp313-cp313-manylinux_2_17_x86_64"
    for number in (1, 2, 3):
        feed.add("aa", f"{number}.0", tag=wheel if number == 3 else wheel.replace("cp313-m", "cp313t-m"))
        feed.add_sdist("aa", f"{number}.0")
        feed.add("bb", f"{number}.0", requires=[f"aa=={number}"], tag=wheel if number > 1 else "py3-none-any")
        feed.add_sdist("bb", f"{number}.0")
    feed.add_sdist("pure", "1.0")
    told: list[str] = []

    def locked(*asked: str, python: str = "3.13.5t") -> dict[str, str]:
        lock = make_lock(asking(*asked, target=Target("linux/amd64", python)), Session(), warn=told.append)
        return {one.name: f"{one.version} {one.kind}" for one in lock.packages}

    assert locked("aa", "pure") == {"aa": "2.0 wheel", "pure": "1.0 sdist"}
    assert any("no wheel fits of pure 1.0, and this machine has no Python 3.13t" in text for text in told)
    assert locked("aa==3") == {"aa": "3.0 sdist"}
    assert locked("bb") == {"aa": "1.0 wheel", "bb": "1.0 wheel"}
    assert locked("aa", python="3.13.5") == {"aa": "3.0 wheel"}


def test_exclude_leaves_out_whoever_asks(feed: Index, asking: Asking) -> None:
    feed.add("aa", "1.0", requires=["gpu-lib>=1"])
    assert pins(make_lock(asking("aa", exclude=("GPU_lib",)), Session())) == {"aa": "1.0"}


def test_a_second_lock_keeps_what_fits(feed: Index, asking: Asking) -> None:
    feed.add("aa", "1.0", requires=["bb"])
    feed.add("bb", "1.0")
    feed.add("cc", "1.0")
    first = make_lock(asking("aa"), Session())
    feed.add("aa", "2.0", requires=["bb"])
    feed.add("bb", "2.0")
    second = make_lock(asking("aa", "cc"), Session(), existing=first)
    assert pins(second) == {"aa": "1.0", "bb": "1.0", "cc": "1.0"}
    assert lock_text(second).startswith(lock_text(first)[:60])
    assert pins(make_lock(asking("aa", "cc"), Session(), existing=second, upgrade=["bb"])) == {
        "aa": "1.0",
        "bb": "2.0",
        "cc": "1.0",
    }
    assert pins(make_lock(asking("aa", "cc"), Session(), existing=second, upgrade=True)) == {
        "aa": "2.0",
        "bb": "2.0",
        "cc": "1.0",
    }


def test_a_new_file_of_a_locked_version_does_not_replace_the_locked_one(feed: Index, asking: Asking) -> None:
    old = feed.add("aa", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    first = make_lock(asking("aa"), Session())
    feed.add("aa", "1.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    again = make_lock(asking("aa"), Session(), existing=first)
    assert again.packages[0].params()["filename"] == old


def test_same_request_same_text(feed: Index, asking: Asking) -> None:
    feed.add("aa", "1.0", requires=["bb"])
    feed.add("bb", "1.0")
    assert lock_text(make_lock(asking("aa", "bb>=1"), Session())) == lock_text(
        make_lock(asking("bb>=1", "aa"), Session())
    )


def test_stale(feed: Index, asking: Asking) -> None:
    feed.add("aa", "1.0")
    lock = make_lock(asking("aa"), Session())
    assert stale(lock, asking("aa")) is None
    assert stale(lock, asking("aa==1")) == "the requirements have changed"
    assert stale(lock, asking("aa", exclude=("x",))) is not None
    assert stale(lock, asking("aa", target=ARM64)) == "the base has changed: platform linux/amd64 -> linux/arm64"


def test_server_on_top_of_an_environment(feed: Index, asking: Asking) -> None:
    feed.add("model", "1.0", requires=["shared"])
    feed.add("shared", "1.0")
    base = make_lock(asking("model"), Session())
    feed.add("shared", "2.0")
    feed.add("server", "5.0", requires=["shared>=1", "web"])
    feed.add("web", "1.0")
    environment = asking("model").asked.items
    pair = make_lock(
        asking("server", asker="the server s", base=base, base_requirements=environment, name="env-s"), Session()
    )
    assert pins(pair) == {"model": "1.0", "server": "5.0", "shared": "1.0", "web": "1.0"}
    assert all(pair.get(package.name) == package for package in base.packages)


def test_a_version_that_is_not_for_this_python_says_which_is(feed: Index, asking: Asking) -> None:
    feed.add("aa", "1.0", python=">=3.8")
    feed.add("aa", "2.0", python=">=3.12")
    with pytest.raises(ResolutionError, match="cannot be satisfied together") as caught:
        make_lock(asking("aa>=2"), Session())
    assert caught.value.hint == "aa 1.0 is the last for Python 3.11; or choose a base with Python >=3.12"


def test_a_server_that_does_not_fit_says_who_asked(feed: Index, asking: Asking) -> None:
    feed.add("flask", "2.0")
    feed.add("flask", "3.0")
    feed.add("server", "5.0", requires=["flask>=3"])
    environment = asking("flask<3").asked.items
    base = make_lock(asking("flask<3"), Session())
    with pytest.raises(ResolutionError, match="cannot be satisfied together") as caught:
        make_lock(
            asking(
                "server",
                asker="the server s",
                base=base,
                base_requirements=environment,
                base_asker="the environment //:env",
            ),
            Session(),
        )
    log = str(caught.value.log)
    assert "flask<3: the environment //:env" in log
    assert "server: the server s" in log
    assert "flask==2.0: locked for the environment //:env" in log
    assert "choose another version of the server" in str(caught.value.hint)


def test_a_conda_name_nobody_has_says_what_to_do(feed: Index, root: Path, asking: Asking) -> None:
    (root / "conda.yaml").write_text("dependencies:\n- nobody-has-this=1\n")
    found = collect(str(root), "", conda_file="conda.yaml")
    from dataclasses import replace

    with pytest.raises(ResolutionError) as caught:
        make_lock(replace(asking(), asked=found), Session())
    assert "conda package 'nobody-has-this' (conda.yaml:2:3)" in str(caught.value.hint)


def test_hashes_given_are_held_to(feed: Index, root: Path, asking: Asking) -> None:
    name = feed.add("aa", "1.0")
    from dataclasses import replace

    for digest, good in ((sha256(feed.files[name]), True), ("0" * 64, False)):
        (root / "r.txt").write_text(f"aa==1.0 --hash=sha256:{digest}\n")
        request = replace(asking(), asked=collect(str(root), "", requirements_file="r.txt"))
        if good:
            assert pins(make_lock(request, Session())) == {"aa": "1.0"}
        else:
            with pytest.raises(ResolutionError, match="none of the hashes") as caught:
                make_lock(request, Session())
            assert str(caught.value.position) == "r.txt:1:1"


def test_an_index_without_sizes(feed: Index, asking: Asking) -> None:
    feed.sizes = False
    name = feed.add("aa", "1.0")
    file = make_lock(asking("aa"), Session()).packages[0].file
    assert file is not None and file.size == len(feed.files[name])


def test_find_links_leave_no_trace_of_this_machine(
    isolated: None, root: Path, asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shelf").mkdir()
    filename, data = make_wheel("aa", "1.0")
    (tmp_path / "shelf" / filename).write_bytes(data)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "shelf"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    lock = make_lock(asking("aa"), Session())
    assert lock.packages[0].params() == {
        "name": "aa", "version": "1.0", "filename": filename, "sha256": sha256(data), "size": len(data)
    }  # fmt: skip
    assert str(tmp_path) not in lock_text(lock)


def test_local_wheels_archives_and_projects(feed: Index, root: Path, asking: Asking) -> None:
    feed.add("bb", "1.0")
    filename, data = make_wheel("aa", "1.0", requires=["bb"])
    (root / "wheels").mkdir()
    (root / "wheels" / filename).write_bytes(data)
    (root / "lib").mkdir()
    for name, text in project_files("lib", "3.0").items():
        (root / "lib" / name).write_text(text)
    lock = make_lock(asking(f"./wheels/{filename}", "./lib"), Session())
    by_name = {package.name: package for package in lock.packages}
    assert by_name["aa"].file is not None and by_name["aa"].file.path == f"wheels/{filename}"
    assert (by_name["lib"].kind, by_name["lib"].directory) == ("directory", "lib")
    assert read_lock(str(root), write_lock(lock, str(root))) == lock
    assert lock.places(str(root))["urls"][filename] == [(root / "wheels" / filename).as_uri()]


def test_direct_url(feed: Index, asking: Asking) -> None:
    name = feed.add("aa", "1.0")
    lock = make_lock(asking(f"aa @ {feed.file_url(name)}"), Session(), portable=True)
    (package,) = lock.packages
    assert package.direct and package.file is not None
    assert (package.file.url, package.file.size) == (feed.file_url(name), len(feed.files[name]))


def test_only_a_source_archive(feed: Index, asking: Asking) -> None:
    feed.add_sdist("aa", "1.0")
    (package,) = make_lock(asking("aa"), Session()).packages
    assert (package.kind, package.params()["filename"]) == ("sdist", "aa-1.0.tar.gz")


def credentials_in_url(feed: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", feed.url_with("build", TOKEN))


def credentials_in_netrc(feed: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login build password {TOKEN}\n")
    (tmp_path / "netrc").chmod(0o600)


def credentials_by_name(feed: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    (root / "uv.toml").write_text(f'[[index]]\nname = "my-feed"\nurl = "{feed.url}"\ndefault = true\n')
    monkeypatch.setenv("UV_INDEX_MY_FEED_USERNAME", "build")
    monkeypatch.setenv("UV_INDEX_MY_FEED_PASSWORD", TOKEN)


def credentials_in_uv(feed: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> None:
    origin = f"http://127.0.0.1:{feed.port}"
    command = [uv_binary(), "auth", "login", origin, "--username", "build", "--password", TOKEN]
    subprocess.run(command, check=True, capture_output=True)


WAYS = [credentials_in_url, credentials_in_netrc, credentials_by_name, credentials_in_uv]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("portable", [False, True])
def test_a_feed_with_a_password(
    feed: Index,
    root: Path,
    asking: Asking,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    way: object,
    portable: bool,
) -> None:
    from buildrules.actions.python.wheel_layer import WheelLayer
    from buildrules.engine.action import Action

    from .conftest import Context

    feed.login = ("build", TOKEN)
    feed.add("aa", "1.0")
    way(feed, monkeypatch, tmp_path, root)  # type: ignore[operator]
    lock = make_lock(asking("aa"), Session(), portable=portable)
    assert TOKEN not in lock_text(lock) + str(lock.places(str(root)))
    read = read_lock(str(root), write_lock(lock, str(root)))
    params = {"wheels": [package.row() for package in read.packages], "prefix": "opt/venv", "python": "3.11"}
    action = Action("a", "//:a", "wheel_layer", "wheels", params, places=read.places(str(root)))
    outputs = made(WheelLayer(), step(action), Context(root, tmp_path / "store"))
    assert TOKEN not in str(outputs.to_dict())


def test_a_feed_with_another_password(feed: Index, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    feed.login = ("build", "right")
    feed.add("aa", "1.0")
    monkeypatch.setenv("UV_DEFAULT_INDEX", feed.url_with("build", TOKEN))
    with pytest.raises(ResolutionError) as caught:
        make_lock(asking("aa"), Session())
    assert TOKEN not in everything(caught.value)
    assert caught.value.log


def test_an_index_that_is_not_there(isolated: None, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://build:{TOKEN}@127.0.0.1:{port}/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(FetchError, match="did not answer") as caught:
        make_lock(asking("aa"), Session())
    assert TOKEN not in everything(caught.value)


def test_an_index_that_breaks(feed: Index, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    def trouble(handler: Plain) -> bool:
        handler.send(500)
        return True

    feed.trouble = trouble
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(FetchError):
        make_lock(asking("aa"), Session())


def test_an_index_without_digests(feed: Index, asking: Asking) -> None:
    name = feed.add("aa", "1.0")

    def page(handler: Plain, name: str, found: list[str]) -> None:
        links = "".join(f'<a href="/files/{file}">{file}</a>' for file in found)
        handler.send(200, links.encode(), Content_Type="text/html")

    feed.page = page  # type: ignore[method-assign]
    file = make_lock(asking("aa"), Session()).packages[0].file
    assert file is not None and file.sha256 == sha256(feed.files[name])


def test_the_hosts_packages_have_no_say(feed: Index, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", os.path.dirname(os.path.dirname(os.sys.executable)))  # type: ignore[attr-defined]
    feed.add("packaging", "99.0")
    assert pins(make_lock(asking("packaging"), Session())) == {"packaging": "99.0"}


def test_wheels_compiled_for_numpy_1_get_numpy_1(feed: Index, asking: Asking) -> None:
    for version in ("1.26.4", "2.1.0"):
        feed.add("numpy", version)
    for version in ("1.11.4", "1.14.1"):
        feed.add("scipy", version, requires=["numpy>=1.17.3"])
    assert pins(make_lock(asking("scipy==1.11.4", "numpy"), Session())) == {"numpy": "1.26.4", "scipy": "1.11.4"}
    assert pins(make_lock(asking("scipy"), Session())) == {"numpy": "2.1.0", "scipy": "1.14.1"}
    both = {"numpy": "2.1.0", "scipy": "1.11.4"}
    assert pins(make_lock(asking("scipy==1.11.4", "numpy>=2"), Session())) == both  # as it was asked for
