"""build.ninja for packages, as https://ninja-build.org/manual.html#_ninja_file_reference has it.

One edge fetches a file by its digest, one builds an image from declared inputs by `guest build`, and one writes all of
this again where a file that says what is built, or a folder with sources, has changed.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from posixpath import dirname, join, relpath
from typing import Any

from buildrules.errors import UsageError
from buildrules.hosts.export import Export, Target
from buildrules.workspace.labels import parse_label

OUT = "buildrules-out"
"""Where all but build.ninja is written, below the host's root."""
_FIRST = "# Written by `buildrules export-to ninja`, and again by ninja itself where that is due"
_HEAD = f"""\
{_FIRST}
ninja_required_version = 1.9
builddir = {OUT}
buildrules = buildrules

rule buildrules_again
  command = $buildrules $arguments
  description = buildrules export-to ninja
  generator = 1
  restat = 1

rule buildrules_fetch
  command = for url in $urls; do curl -fsSL --retry 3 -o $out.part "$$url" && echo "$sha256  $out.part" $
      | sha256sum -c --status - && mv $out.part $out && exit 0; done; echo "not to be had: $name" >&2; exit 1
  description = fetch $name

rule buildrules_image
  command = $buildrules guest build $arguments --depfile $out.d
  depfile = $out.d
  deps = gcc
  restat = 1
  description = build $name
"""
_REFUSED = re.compile(r"[\x00-\x1f\x7f|\ud800-\udfff]")
_UNSAID = re.compile(r"""["&'*;<>?^`]|\\(?=[ #$:])|[\\:]$""")
"""What ninja does not find again in a depfile (src/depfile_parser.in.cc), and would build for ever."""


def files(export: Export) -> Mapping[str, str]:
    """build.ninja, and for each package the list of its inputs. Raises UsageError for a name that ninja cannot have."""
    if not (export.present("build.ninja") or _FIRST).startswith(_FIRST):
        raise UsageError("there is a 'build.ninja' that export-to has not written", hint="take another --dir for ours")
    above = "" if export.root == export.directory else relpath(export.root, export.directory)
    content = {one["sha256"]: one for target in export.targets for one in target.content if one["urls"]}
    edges = [_again(export, above), *(_fetch(content[sha256]) for sha256 in sorted(content))]
    texts = {}
    for target in export.targets:
        own = [one["sha256"] for one in target.content if one["sha256"] in content]
        listed = [*target.files, *(f"{folder}/" for folder in target.folders)]
        listed += [f"sha256:{sha256}  {_place(sha256)}" for sha256 in own]
        texts[join(_folder(target.label), "inputs")] = "".join(f"{line}\n" for line in listed)
        edges += _image(target, above, [_place(sha256) for sha256 in own], export.configurations)
    texts["build.ninja"] = "\n".join([_HEAD, *edges])
    return texts


def _again(export: Export, above: str) -> str:
    """The edge that writes build.ninja again."""
    words = ["-C", above or ".", "export-to", "ninja", "--dir", relpath(export.directory, export.root)]
    words += [word for name in export.configurations for word in ("--config", name)]
    words += ["--urls"] if export.urls else []
    texts = {path for target in export.targets for path in target.decides}
    looked = sorted(join(above, path) or "." for path in texts | set(_folders(export)))
    made = ["build.ninja", *(join(_folder(target.label), "inputs") for target in export.targets)]
    return _edge(made, "buildrules_again", looked, arguments=shlex.join([*words, "--", *export.patterns]))


def _folders(export: Export) -> Iterator[str]:
    """The folders in which a new file may be one more input."""
    packages = set(export.packages)
    tops = set()
    for path in {path for target in export.targets for path in target.files}:
        top, folder = path, dirname(path)
        while folder and folder not in packages:
            top, folder = folder, dirname(folder)
        yield folder
        tops.add(top)
    for top in tops:
        for here, below, _ in os.walk(join(export.root, top)):
            path = os.path.relpath(here, export.root)
            below[:] = [name for name in below if join(path, name) not in packages]
            yield path


def _fetch(one: Mapping[str, Any]) -> str:
    name = re.sub(r"[^\w.+-]", "_", one["name"])
    variables = {"sha256": one["sha256"], "name": name, "urls": shlex.join(one["urls"])}
    return _edge([_place(one["sha256"])], "buildrules_fetch", [], **variables)


def _image(target: Target, above: str, content: Iterable[str], configurations: Iterable[str]) -> Iterator[str]:
    """The edges of a package: its digest, its layout, and names for both."""
    folder = _folder(target.label)
    files = [join(above, path) for path in target.files]
    for path in filter(_UNSAID.search, files):
        raise UsageError(
            f"{path!r} cannot stand in a depfile of ninja's", hint="rename it: letters, digits and '._-' can"
        )
    inputs = [join(folder, "inputs"), *files, *content]
    words = [target.label, "--root", above or ".", "--inputs", inputs[0]]
    words += [word for name in configurations for word in ("--config", name)]
    for ending, option, made in (("", (), "digest"), (".layout", ("--layout",), "layout/digest")):
        out = dirname(join(folder, made))
        arguments = shlex.join([*words, "--out", out, *option])
        yield _edge([join(folder, made)], "buildrules_image", inputs, name=target.label + ending, arguments=arguments)
        yield _edge([target.label + ending], "phony", [join(folder, made)])
    yield f"default {_path(join(folder, 'digest'))}\n"


def _folder(label: str) -> str:
    found = parse_label(label)
    return join(OUT, found.package, found.name)


def _place(sha256: str) -> str:
    return join(OUT, "content", sha256)


def _edge(outs: Iterable[str], rule: str, inputs: Iterable[str], **variables: str) -> str:
    words = " ".join(["build", *map(_path, outs)]) + " ".join([f": {rule}", *map(_path, inputs)])
    return "".join(f"{line}\n" for line in [words, *(f"  {name} = {_text(text)}" for name, text in variables.items())])


def _path(path: str) -> str:
    return _text(path).replace(" ", "$ ").replace(":", "$:")


def _text(text: str) -> str:
    if _REFUSED.search(text):
        raise UsageError(
            f"{text!r} cannot stand in a build.ninja", hint="rename it: without '|' and line ends, in UTF-8"
        )
    return text.replace("$", "$$")
