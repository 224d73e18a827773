"""Plans the lints of a package: one action for its code, which runs at every edit, and one for all around it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from buildrules.actions.params import LintCodeParams, LintPackageParams, ModelParams
from buildrules.actions.python.target import minor_of
from buildrules.credentials.secret_names import seems_secret
from buildrules.document.nodes import Node
from buildrules.engine.action import Action, SourceSet
from buildrules.engine.plan import LINT, Plan, Side
from buildrules.errors import LoadError
from buildrules.lints.finding import NAMES
from buildrules.lints.gpu import cuda_asked
from buildrules.lints.passwords import is_secret
from buildrules.lints.secrets import secrets_in
from buildrules.locking.locks import LockedParts
from buildrules.locking.placing import code_files, import_root
from buildrules.rules.package import PackageParts
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.suggest import did_you_mean


def plan_lints(
    plan: Plan,
    locked: LockedParts,
    *,
    installed: Sequence[str],
    models: Sequence[str],
    code: Sequence[str],
    files: Sequence[str],
    tests: Sequence[ResolvedTarget],
) -> None:
    """Add the lints of a package to `plan.sides`.

    `installed`, `models`, `code` and `files` are the actions that lay these, `installed` those of its environment and
    its server's packages, in the order of the image; `tests` the targets that test it.
    Raises LoadError for a name in `lint_ignore` that no lint has.
    """
    label = str(locked.parts.package.label)
    ignore = _ignored(locked.parts.package)
    wheels = [name for name in installed if _is_of_wheels(plan, name)]
    sources = tuple(source for name in (*code, *files) for source in plan.actions[name].sources)
    if sources:
        plan.sides[plan.add(_of_code(locked, ignore, sources, wheels))] = Side(LINT, label)
    laid = [plan.actions[name] for name in models if plan.actions[name].kind in ("model_layers", "fetched_model")]
    plan.sides[plan.add(_of_package(locked, ignore, wheels, laid, tests))] = Side(LINT, label)


def _of_code(locked: LockedParts, ignore: list[str], sources: tuple[SourceSet, ...], wheels: list[str]) -> Action:
    parts, base = locked.parts, locked.base
    inside = _inside(parts, sources[0].directory)
    return Action(
        id=f"{parts.package.label} {base.platform} lint code",
        target=str(parts.package.label),
        kind="lint",
        title="lint of code",
        params=LintCodeParams(
            ignore=ignore,
            entry=_entry(parts),
            python=minor_of(base.python) if base.python is not None else None,
            models=list(inside),
            roots=[import_root(one) if one.provides == "library" else "" for one, _, _ in code_files(parts)],
            made=parts.server_part.modules,
            unseen=_unseen(locked),
        )._asdict(),
        sources=sources,
        places={
            "texts": {
                **{f"source {number}": _folder(source.directory) for number, source in enumerate(sources)},
                **{f"model {number}": inside[name] for number, name in enumerate(inside)},
            },
            "positions": {"code": _place(parts.code, "srcs")},
        },
        deps=tuple(wheels),
        weight=0.01,
    )


def _of_package(
    locked: LockedParts, ignore: list[str], wheels: list[str], laid: list[Action], tests: Sequence[ResolvedTarget]
) -> Action:
    """`laid` are the actions that lay the files of models."""
    parts, base = locked.parts, locked.base
    packages: dict[str, tuple[str, str, int | None]] = {}
    for one in locked.installed:
        provided = one.conda.lock.distributions() if one.conda is not None else {}
        packages |= {name: (name, version, None) for name, version in provided.items()}
        for package in one.lock.packages:
            size = package.file.size if package.file is not None else None
            packages[package.name] = (package.name, package.version, size)
    written = list(_written(parts.package))
    secrets = [row for test in tests for row in _secrets(test)]
    return Action(
        id=f"{parts.package.label} {base.platform} lint",
        target=str(parts.package.label),
        kind="lint",
        title="lint",
        params=LintPackageParams(
            ignore=ignore,
            packages=[packages[name] for name in sorted(packages)],
            variables=sorted({*base.variables, *parts.gpu_variables, *parts.package.values["environment"]}),
            server=parts.server.rule.name,
            requirements=_asked(parts),
            written=[name for name, _ in written],
            tests=[name for _, name, _ in secrets],
            models=[ModelParams(one.params["prefix"]).prefix for one in laid],
            unseen=_unseen(locked),
            cuda=cuda_asked(parts.gpu),
            no_gpu=parts.package.values["gpu"] is False,
        )._asdict(),
        places={
            "texts": {
                **{f"model {number}": _folder_or_label(one) for number, one in enumerate(laid)},
                **{f"test {number}": test for number, (test, _, _) in enumerate(secrets)},
            },
            "positions": {
                "env": _place(parts.env or parts.package, "rule"),
                "server": _place(parts.package if parts.server.implicit else parts.server, "server"),
                **{f"written {number}": place for number, (_, place) in enumerate(written)},
                **{f"test {number}": place for number, (_, _, place) in enumerate(secrets)},
            },
        },
        deps=(*wheels, *(one.id for one in laid)),
        weight=0.04,
    )


def _unseen(locked: LockedParts) -> list[str]:
    """The packages whose files nobody knows before they are built."""
    return sorted({one.name for env in locked.installed for one in env.lock.packages if one.kind == "sdist"})


def _is_of_wheels(plan: Plan, name: str) -> bool:
    """Whether an action lays conda packages, or wheels that need not be built of source archives first."""
    action = plan.actions[name]
    built = (plan.actions[dep] for dep in action.deps if action.kind == "wheel_layer")
    if action.kind == "conda_layer":
        return True
    return action.kind == "wheel_layer" and not any(one.params.get("sdist") for one in built)


def _ignored(package: ResolvedTarget) -> list[str]:
    names: list[str] = package.values["lint_ignore"]
    for number, name in enumerate(names):
        if name not in NAMES:
            raise LoadError(
                f"there is no lint '{name}'",
                hint=did_you_mean(name, NAMES, what="lints", limit=len(NAMES)),
                position=package.position_of("lint_ignore", number),
            )
    return sorted(names)


def _written(package: ResolvedTarget) -> Iterator[tuple[str, list[Any]]]:
    """Name and place of each variable of a package that seems to hold a secret; never the value."""
    given = package.target.attributes.get("environment") if package.target is not None else None
    for name, value in given.entries.items() if given is not None and given.kind == "map" else ():
        if value.kind == "scalar" and (is_secret(name, value.text) or secrets_in("", value.text.encode())):
            place = value.position
            yield name, [place.path, place.line or -1, place.column]


def _secrets(test: ResolvedTarget) -> Iterator[tuple[str, str, list[Any]]]:
    """Label, name and place of each value of a test that seems to be a secret; never the value."""
    given = test.target.attributes if test.target is not None else {}
    pairs: list[tuple[str, Node, Callable[[str, str], bool]]] = []
    pairs += [(*pair, is_secret) for pair in given["environment"].entries.items()] if "environment" in given else []
    for item in given["requests"].items if "requests" in given else ():
        headers = item.entries.get("headers")
        pairs += [(*pair, _header) for pair in headers.entries.items()] if headers is not None else []
    for name, value, seems in pairs:
        if value.kind == "scalar" and value.text and (seems(name, value.text) or secrets_in("", value.text.encode())):
            place = value.position
            yield str(test.label), name, [place.path, place.line or -1, place.column]


def _header(name: str, _value: str) -> bool:
    return seems_secret(name)


def _asked(parts: PackageParts) -> list[str]:
    """What the workspace itself wants of its server: of a built-in rule only what a target says."""
    requirements = list(parts.server_part.requirements)
    if not parts.server.rule.builtin:
        return requirements
    server = parts.server
    said = set(server.values.get("requirements") or ()) if "requirements" in server.given else set()
    free = "version" in server.given and not server.values["version"]
    return [text for number, text in enumerate(requirements) if text in said or (free and number == 0)]


def _entry(parts: PackageParts) -> str | None:
    """The file of the code that the server loads first, below the code's directory; None if nobody says."""
    module = parts.server_part.module
    if module is not None:
        return module.partition(":")[0].replace(".", "/") + ".py"
    script = parts.code.values["entry_script"] if parts.code is not None else None
    return str(script) if script is not None else None


def _place(target: ResolvedTarget | None, attribute: str) -> list[Any] | None:
    position = target.position_of(attribute) if target is not None else None
    return [position.path, position.line or -1, position.column] if position is not None else None


def _folder_or_label(action: Action) -> str:
    """How people know the place that the files of a model come from: its folder, or its label."""
    return _folder(action.sources[0].directory if action.sources else action.target)


def _folder(path: str) -> str:
    return f"{path}/" if path else ""


def _inside(parts: PackageParts, directory: str) -> dict[str, str]:
    """The models that lie in the folder of the code: name below it ("" where all of it is the model's) -> label."""
    found = {}
    for model in parts.models:
        path = model.values["path"]
        if path and f"{path}/".startswith(_folder(directory)):
            found[f"{path}/".removeprefix(_folder(directory)).rstrip("/")] = str(model.label)
        elif path and f"{directory}/".startswith(f"{path}/"):
            found[""] = str(model.label)
    return found
