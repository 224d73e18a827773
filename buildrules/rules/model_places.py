"""Where the models of a package go in its image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from buildrules.errors import LoadError
from buildrules.rules.language import Layout
from buildrules.rules.model_content import Arrangement
from buildrules.rules.paths import image_path
from buildrules.rules.template import names_in, substitute

_KERNELS = ("proc", "sys", "dev")


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """`directory` receives the model; `path` is its own folder or file then. Absolute paths in the image."""

    directory: str
    path: str


def place_models(
    layout: Layout,
    names: Mapping[str, Any],
    models: Sequence[Mapping[str, Any]],
    *,
    keep_folder: bool,
    mount_path: str | None,
    working_dir: str | None,
) -> tuple[str, list[ModelPlace]]:
    """The directory all models are in, and the place of each.

    `names` are the values of templates, `models` those that belong to each model. The common directory is the part of
    `layout.model` in front of the first step that differs between models. `mount_path` stands in for it, or for
    the directory of a package's only model if the layout says so. Raises LoadError for a path that makes no sense and
    for two models in one place; MissingValueError for a name without a value.
    """
    assert layout.model is not None
    common, own = _split(layout.model)
    mounted = None if mount_path is None else mount_directory(mount_path, working_dir)
    root: str = mounted or image_path(substitute(common, names))
    if mounted is not None and len(models) == 1 and layout.mount_path == "model":
        own = ""
    places: list[ModelPlace] = []
    for model in models:
        scope = {**names, **model}
        below = _arranged(layout, scope.get("model.arrangement"))
        directory = image_path(f"{root}/{substitute(own if below is None else below, scope)}".rstrip("/"))
        basename = scope.get("model.basename")
        inside = basename is not None and (keep_folder or scope.get("model.is_file"))
        place = ModelPlace(directory, f"{directory}/{basename}" if inside else directory)
        if any(place.path == other.path for other in places):
            raise LoadError(f"two models would both be at '{place.path}'", hint="give them different names or versions")
        places.append(place)
    return root, places


def _arranged(layout: Layout, found: Arrangement | None) -> str | None:
    """The template, below the common directory, of the place of a folder that brings a part of the layout itself.

    None for one that does not, or where the layout takes no notice. Raises LoadError for a folder that does not fit.
    """
    if layout.versions is None or found is None or found.kind == "bare":
        return None
    if found.kind == "versions":
        if not found.names:
            raise LoadError("the model's folder has no folder of a version", hint="put its files into a folder '1'")
        return _split(layout.versions)[1]
    if layout.repository is None:
        names = " and ".join(f"'{name}'" for name in found.names[:4])
        raise LoadError(
            f"the model's folder holds models, {names}",
            hint="make a model target of each, and list them as `models` of the package",
        )
    return _split(layout.repository)[1]


def mount_directory(path: str, working_dir: str | None) -> str:
    """A mount path as an absolute directory in the image: a relative one is below `working_dir`. Raises LoadError."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not path.startswith("/"):
        parts = [*(working_dir or "/").strip("/").split("/"), *parts]
        if not any(parts):
            raise LoadError(
                f"'{path}' is the working directory, and the server sets none",
                hint="write a directory, such as /models",
            )
    directory: str = image_path("/" + "/".join(part for part in parts if part))
    if directory.split("/")[1] in _KERNELS:
        raise LoadError(
            f"'{directory}' is the kernel's in a container, and hides what the image has there",
            hint="choose another directory, such as /var/data",
        )
    return directory


def _split(template: str) -> tuple[str, str]:
    """A template of a directory, split in front of the first step that speaks of a model."""
    steps = template.split("/")
    differs = (at for at, step in enumerate(steps) if any(name.startswith("model.") for name, _ in names_in(step)))
    at = next(differs, len(steps))
    return "/".join(steps[:at]), "/".join(steps[at:])
