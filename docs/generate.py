"""Writes the reference pages that come from the code: `make docs`.

`pages()` gives them without writing, so that a test can tell when they are out of date.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from buildrules.azureml.table import Map

HERE = Path(__file__).resolve().parent

_CLI_HEAD = """# Commands

Generated from the command line's own help.

```text
buildrules [-C DIRECTORY] COMMAND ...
```

`-C DIRECTORY` works as if started in that directory. Every command has `--help`. A pattern names targets; the
grammar is in [BUILD.yaml](build-yaml.md#labels-and-patterns).

"""

_AZUREML_HEAD = """# Keys of Azure ML files

Generated from the tables that the files are read by. What becomes of the keys that are read is in
[Azure ML files](azureml.md). All other keys are errors, but for what the service and its tools add to what they print.
"""

_CLI_TAIL = """## Exit codes

| code | meaning |
|---|---|
| 0 | done; for `lock --check`: all locks are up to date |
| 1 | something failed: a step, a fetch, a lock under `--locked`, a corrupt blob in `cache verify` |
| 2 | the command line, a `BUILD.yaml`, a rule or a setting is wrong; nothing was built |
| 4 | a locked file is gone from the server it came from; locking again helps |
| 130 | interrupted; what was finished is kept |
| 141 | nobody reads the output any more, as in `show \\| head` |

They keep their meaning within a major version. Where several steps fail, the first failure decides. The last line of
a build says how it went: on standard output, or on standard error where it begins with `failed: `.

| command | 1 also where |
|---|---|
| `test` | a test failed, or could not be run |
| `lint` | something is an error; with `--strict` where anything is found |
| `lock --check`, also with `--upgrade` or `--sync` | a lock is missing or stale, or would be written |
| `push --tested` | a package was left out, because its tests failed or it has none |
| `cache verify` | content is corrupt, or something has no signature by a key that the workspace trusts |
| `import azureml` | a file could not be converted; the others are written |
| `fmt --check`, `fmt --diff` | a file is not in its usual form |
| `diff --exit-code` | the images differ |
| `doctor` | something keeps builds from working |

`run` ends with 0 where the package did, where Ctrl-C stopped it once it was ready, and where `-d` left it running; with
1 where the container did not start, was not ready in time, or ended with another code. `logs` and `stop` end with 2
where nothing that `run` started has the name.

## Environment variables

| variable | meaning |
|---|---|
| `BUILDRULES_CACHE_DIR` | the store; else `$XDG_CACHE_HOME/buildrules`, else `~/.cache/buildrules` |
| `BUILDRULES_CACHE` | the [shared cache](../how-to/shared-cache.md), instead of `cache.remote`; several with `,` |
| `BUILDRULES_CACHE_UPLOAD` | who fills it, instead of `cache.upload`: `never`, `ci`, `always` |
| `BUILDRULES_CACHE_NAMESPACE` | where builds write in a shared cache, see [trust](../explanation/trust.md) |
| `BUILDRULES_SIGNING_KEY`, `BUILDRULES_WORKER_ROOM` | of workers: see [a Dask cluster](../how-to/dask.md) |
| `BUILDRULES_LINK_ROOTS` | where links may lead outside of the workspace, as in sandboxes: folders, with `:` between |
| `SOURCE_DATE_EPOCH` | seconds since 1970 for the image's `created`; 0 if not set |
| `DOCKER_HOST`, `DOCKER_CONTEXT`, `DOCKER_CONFIG` | which Docker is used, as for Docker's own client |
| `UV_*` | configuration of uv, for resolving and fetching Python packages |
| `NO_COLOR` | no colours on a terminal, whatever its value; so does `TERM=dumb` |
| `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` | proxies |
"""


def pages() -> dict[Path, str]:
    """Every generated page, by its path."""
    from buildrules.rules.catalogue import Catalogue
    from buildrules.rules.describe import reference
    from buildrules.rules.describe_platforms import reference as platforms
    from buildrules.rules.schema import build_schema, rule_schema

    catalogue = Catalogue(None)
    folder = HERE / "reference"
    return {
        folder / "cli.md": cli_page(),
        folder / "azureml-keys.md": azureml_page(),
        folder / "rules.md": reference(catalogue),
        folder / "platforms.md": platforms(),
        folder / "schema.json": json.dumps(build_schema(catalogue), indent=2) + "\n",
        folder / "rule-schema.json": json.dumps(rule_schema(), indent=2) + "\n",
    }


def cli_page() -> str:
    """The page of all commands."""
    from buildrules.cli.main import cli

    context = click.Context(cli, info_name="buildrules")
    out = [_CLI_HEAD]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        out += _command(command, name, context, 2)
    return "".join(out) + _CLI_TAIL


def azureml_page() -> str:
    """The page of all keys of Azure ML files, from the tables that they are read by."""
    from buildrules.azureml.assets import DataFile, ModelFile
    from buildrules.azureml.connection import ConnectionKeys
    from buildrules.azureml.deployment import BatchKeys, OnlineKeys
    from buildrules.azureml.environment import EnvironmentFile
    from buildrules.azureml.package import PackageKeys

    out = [_AZUREML_HEAD]
    for rows in (PackageKeys, EnvironmentFile, ModelFile, DataFile, OnlineKeys, BatchKeys, ConnectionKeys):
        out.append(f"\n## {rows.what[:1].upper()}{rows.what[1:]}\n\n| key | other spellings | |\n|---|---|---|\n")
        out += _keys(rows, "")
    return "".join(out)


def _keys(rows: "type[Map]", inside: str) -> Iterator[str]:
    for name, key in rows.rows.items():
        if not key.suggested or name == "$schema":
            continue
        others = ", ".join(f"`{one}`" for one in sorted(key.spellings - {name}))
        what = f"left out: {key.left_out}".removesuffix(": ") if key.left_out is not None else "read"
        what = f"`{key.becomes}` of the server" if key.becomes else what
        yield f"| `{inside}{name}` | {others} | {what}{', needed' if key.needs is not None else ''} |\n"
        if key.below is not None and key.left_out is None:
            yield from _keys(key.below, f"{inside}{name}.")


def _command(command: click.Command, name: str, parent: click.Context, level: int) -> list[str]:
    from buildrules.cli.groups import option_groups

    context = click.Context(command, info_name=name, parent=parent)
    pieces = " ".join(command.collect_usage_pieces(context))
    out = [f"{'#' * level} {context.command_path.removeprefix('buildrules ')}\n\n"]
    out += [f"```text\n{context.command_path} {pieces}\n```\n\n", _prose(command.help or ""), "\n"]
    for heading, options in option_groups(command, context).items():
        rows = [_row(option) for option in options if "--help" not in option.opts]
        if rows:
            out += [f"| {heading} | |\n|---|---|\n", *rows, "\n"]
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            out += _command(found, child, context, level + 1)
    return out


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if not option.is_flag:
        value = option.make_metavar(click.Context(click.Command("none"))).replace("|", "\\|")
        names += f" `{value}`"
    text = (option.help or "").replace("|", "\\|")
    if option.show_default and option.default is not None:
        text = f"{text} Default: `{option.default}`.".strip()
    return f"| {names} | {text} |\n"


def _prose(text: str) -> str:
    """Help text as Markdown: paragraphs as they are, those after click's \\b as code."""
    out = []
    for part in re.split(r"\n\s*\n", text.strip()):
        lines = [line.rstrip() for line in part.splitlines()]
        if lines and lines[0].strip() == "\b":
            out.append("```text\n" + "\n".join(lines[1:]) + "\n```\n")
        else:
            out.append(" ".join(line.strip() for line in lines) + "\n")
    return "\n".join(out)


def main() -> None:
    """Write what differs, and say so."""
    for path, text in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(HERE.parent)}\n")


if __name__ == "__main__":
    main()
