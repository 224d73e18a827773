"""Whether a package has the models and the code that its server's rule wants (`requires`)."""

from typing import Any

from buildrules.rules.resolve import ResolvedTarget


def check_versions(server: ResolvedTarget, models: list[ResolvedTarget], scopes: list[dict[str, Any]]) -> None:
    """Raise LoadError for a version that cannot be the name of a folder of a version."""
    requires = server.rule.file.requires
    if requires is None or requires.versions == "any":
        return
    for model, scope in zip(models, scopes, strict=True):
        version = scope["model.version"]
        bare = scope["model.arrangement"].kind == "bare"
        if bare and not (version.isascii() and version.isdigit() and version.strip("0")):
            raise model.error(
                "version",
                f"version '{version}' of {model.label} is not a number,"
                f" which the server '{server.rule.reference}' wants",
                'write a whole number from 1, such as version: "1"',
            )


def check_requires(
    package: ResolvedTarget,
    server: ResolvedTarget,
    models: list[ResolvedTarget],
    code: ResolvedTarget | None,
    flavour: str | None,
) -> bool:
    """Whether the server's own code is used. Raises LoadError if something is missing or too much."""
    model = models[0] if models else None
    requires = server.rule.file.requires
    name = server.rule.reference
    if len(models) > 1 and (requires is None or requires.models == "one"):
        raise package.error(
            "models",
            f"server '{name}' takes one model, and the package has {len(models)}",
            "make a package for each, or use a server that takes several (`buildrules rules`)",
            1,
        )
    if requires is None:
        return False
    if requires.model == "always" and model is None:
        raise package.error("server", f"server '{name}' needs a model", "add `model:`")
    if requires.flavour is not None and flavour not in (requires.flavour, None):
        assert model is not None
        raise package.error(
            "model" if package.deps.get("model") else "models",
            f"server '{name}' serves models of the flavour '{requires.flavour}', and {model.label} is '{flavour}'",
            f"use another server, or write `flavour: {requires.flavour}` in the model's target if it is one",
        )
    for part, need, given in (("model", requires.model, model), ("code", requires.code, code)):
        if need == "never" and given is not None:
            attribute = part if package.deps.get(part) else f"{part}s"
            raise package.error(attribute, f"server '{name}' has no use for {part}")
    if code is not None or requires.code in ("optional", "never"):
        return False
    unless = requires.code.rpartition(" ")[2] if requires.code.startswith("unless") else None
    if unless is not None and len(models) == 1 and flavour in (unless, None):
        return server.rule.file.without_code is not None
    hint = "add `code:` with the label of a scoring_code target"
    if unless is not None:
        other = ", and there are several" if models else ", and there is no model"
        other = f", and this one is '{flavour}' (`flavour:` in its target)" if len(models) == 1 else other
        hint += f"; only a model of the flavour '{unless}' needs none" + other
    raise package.error("server", f"server '{name}' needs code", hint)
