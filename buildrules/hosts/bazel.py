"""BUILD.bazel files, and the table of what Bazel fetches: the rules are those of `integrations/bazel`.

Of a BUILD.bazel only a section is ours. Labels are as in https://bazel.build/concepts/labels.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from posixpath import dirname, join, relpath

from buildrules.errors import UsageError
from buildrules.hosts.export import Export, Target
from buildrules.workspace.labels import parse_label

CONTENT = "buildrules_content.bzl"
_FIRST = "# Begin: written by `buildrules export-to bazel`; write outside of this section"
_LAST = "# End: written by `buildrules export-to bazel`"
_SECTION = re.compile(rf"^{re.escape(_FIRST)}\n.*?^{re.escape(_LAST)}\n?", re.MULTILINE | re.DOTALL)
_NAMES = ("BUILD.bazel", "BUILD")
_REFUSED = re.compile(r"[\x00-\x1f\x7f:\\\ud800-\udfff]")
_PLAIN = re.compile(r"[\w.+-][^/]*(/.*)?")


def files(export: Export) -> Mapping[str, str]:
    """Sections of the BUILD.bazel files of all packages of Bazel that have targets or their files, and the table.

    Raises UsageError for a name that no label of Bazel's can have.
    """
    packages = _Packages(export)
    rules: dict[str, list[str]] = defaultdict(list)
    exported: dict[str, set[str]] = defaultdict(set)
    for target in export.targets:
        home = packages.of_label(target.label)
        labels = []
        for path in map(packages.in_bazel, target.files):
            owner = packages.owner(path)
            name = relpath(path, owner) if owner else path
            if owner != home:
                exported[owner].add(name)
            labels.append(name if owner == home and _PLAIN.fullmatch(name) else f"//{owner}:{name}")
        executables = list(filter(export.executable, target.files))
        rules[home].append(_rule(target, labels, executables, packages.above, export.configurations))
    sections = {
        folder: "\n".join([_FIRST, *_section(rules[folder], exported[folder]), _LAST, ""])
        for folder in sorted({*rules, *exported})
    }
    texts = {packages.file(folder): packages.around(folder, text) for folder, text in sections.items()}
    gone = {folder for folder in map(packages.in_bazel, export.packages) if folder not in sections}
    texts |= {packages.file(folder): packages.around(folder, "") for folder in gone if packages.has_section(folder)}
    return {**texts, CONTENT: _content(export.targets)}


class _Packages:
    """Which directories are packages of Bazel's, relative to its root ("" is the root)."""

    def __init__(self, export: Export) -> None:
        self._present = export.present
        self.above = "" if export.root == export.directory else relpath(export.root, export.directory)
        self._are = {self.above: True, **{self.of_label(target.label): True for target in export.targets}}

    def in_bazel(self, path: str) -> str:
        """A path of the workspace, as Bazel has it. Raises UsageError."""
        if _REFUSED.search(path):
            raise UsageError(
                f"{path!r} cannot be a label of Bazel's", hint="rename it: without colon and backslash, in UTF-8"
            )
        return join(self.above, path) if path else self.above

    def of_label(self, label: str) -> str:
        return self.in_bazel(parse_label(label).package)

    def file(self, folder: str) -> str:
        """The file that makes a folder a package; BUILD.bazel where there is none yet."""
        names = [join(folder, name) for name in _NAMES]
        return next((name for name in names if self._present(name) is not None), names[0])

    def has_section(self, folder: str) -> bool:
        return bool(_SECTION.search(self._present(self.file(folder)) or ""))

    def owner(self, path: str) -> str:
        """The package that a file belongs to: the nearest around it."""
        folder = dirname(path)
        if folder not in self._are:  # a file with our section alone is made anew, or removed
            self._are[folder] = any(
                _SECTION.sub("", self._present(join(folder, name)) or "").strip() for name in _NAMES
            )
        return folder if self._are[folder] or not folder else self.owner(folder)

    def around(self, folder: str, section: str) -> str:
        """The whole text of the package's file with this section; "" where nothing is left of it."""
        before = self._present(self.file(folder)) or ""
        if _SECTION.search(before):
            after = _SECTION.sub(lambda _: section, before, count=1)
        else:
            after = f"{before.rstrip()}\n\n{section}" if before.strip() else section
        return after if after.strip() else ""


def _section(rules: list[str], exported: Iterable[str]) -> Iterator[str]:
    if rules:
        yield 'load("@buildrules//:defs.bzl", "model_image")'
    if names := sorted(exported):
        yield from ("", "exports_files(", f"    {_list(names)},", '    visibility = ["//visibility:public"],', ")")
    for rule in rules:
        yield from ("", rule)


def _rule(target: Target, labels: list[str], executables: list[str], above: str, configurations: Iterable[str]) -> str:
    label = parse_label(target.label)
    given = {"name": _text(label.name), "target": _text(target.label), "srcs": _list(sorted(labels))}
    if executables:
        given["executables"] = _list(executables)
    if target.folders:
        given["folders"] = _list(target.folders)
    if target.content:
        given["content"] = _list([f"@buildrules_content//:{join(label.package, label.name)}"])
    if above:
        given["root"] = _text(above)
    if chosen := list(configurations):
        given["configs"] = _list(chosen)
    lines = [f"    {key} = {value}," for key, value in given.items()]
    return "\n".join(["model_image(", *lines, '    visibility = ["//visibility:public"],', ")"])


def _content(targets: Iterable[Target]) -> str:
    """A dictionary of Starlark that is JSON, too: files by digest, and which of them each target needs.

    What always comes together is a group, since a hundred packages on one environment differ in nothing.
    """
    found: dict[str, list[str]] = {}
    users: dict[str, list[str]] = defaultdict(list)
    for target in targets:
        for one in target.content:
            found[one["sha256"]] = [one["name"], *one["urls"]]
            users[one["sha256"]].append(target.label)
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for digest in sorted(users):
        groups[tuple(users[digest])].append(digest)
    needs: dict[str, list[str]] = defaultdict(list)
    for labels, digests in groups.items():
        for label in map(parse_label, labels):
            needs[join(label.package, label.name)].append(digests[0])
    table: dict[str, Mapping[str, list[str]]] = {
        "files": {digest: found[digest] for digest in sorted(found)},
        "groups": {digests[0]: digests for digests in groups.values()},
        "targets": needs,
    }
    parts = []
    for key, rows in table.items():
        lines = ",\n".join(f"        {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
        parts.append(f'    "{key}": {{\n{lines}\n    }}')
    said = '"""Written by `buildrules export-to bazel`: what packages fetch. It is JSON as well."""\n\nCONTENT = {\n'
    return said + ",\n".join(parts) + "\n}\n"


def _text(text: str) -> str:
    """A string of Starlark, where only these two count for more than themselves, and line ends, which are refused."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _list(texts: Iterable[str]) -> str:
    lines = [f"        {_text(text)}," for text in texts]
    return "[]" if not lines else "\n".join(["[", *lines, "    ]"])
