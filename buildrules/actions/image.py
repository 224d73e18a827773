"""Kinds `image` and `index`: layers become an image, images of several platforms become an index."""

from buildrules.actions.made import ImageMade, IndexMade
from buildrules.actions.params import ImageParams, read
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError
from buildrules.oci.config import ImageConfig, contract_labels
from buildrules.oci.image import build_image, build_index, manifest_descriptor, parse_platform

LAYER_LIMIT = 100
"""Docker's overlay2 driver refuses the 126th layer ("max depth exceeded"); some tools stop at 127.
The distance leaves room for images built on top of ours."""

BYTECODE = ": bytecode"
"""How the roles of layers of bytecode end."""


class ImageKind:
    """Stacks the layers of its dependencies, in order, below one config and manifest: the blobs `manifest`, `config`.

    A dependency's values may hold `config` (a base image's own, in OCI form, to build upon), `labels`, `models`
    (place -> digest) and `layers`: what each layer holds, which after the dependency's role is the image's history.
    """

    name = "image"
    version = 2
    traits = Traits()

    def run(self, step: Step, context: Context) -> Outputs:
        """Build config and manifest and keep both in the store. Raises ActionError."""
        params, laid = read(ImageParams, step.params), list(step.deps)
        if sum(len(dep.outputs.layers) for dep in laid) >= LAYER_LIMIT:
            without = [dep for dep in laid if not dep.role.endswith(BYTECODE)]
            if len(without) < len(laid):
                context.warn(f"the {step.title} has no bytecode: with it there would be too many layers")
            laid = without
        deps = [dep.outputs for dep in laid]
        layers = [layer for dep in deps for layer in dep.layers]
        if len(layers) >= LAYER_LIMIT:
            raise ActionError(
                f"the {step.title} would have {len(layers)} layers; "
                f"docker's overlay2 driver takes 125 and buildrules allows {LAYER_LIMIT - 1}",
                hint="name fewer places in `files` and `inputs`, "
                "or leave out wheels that are not needed, with `exclude` of the environment",
            )
        try:
            config = self._config(params, deps)
            image = build_image(
                layers,
                config,
                params.platform,
                created=params.created,
                history=[words for dep in laid for words in _holds(dep.role, dep.outputs)],
            )
        except ValueError as error:
            raise ActionError(f"cannot configure the {step.title}: {error}") from error
        for _, data in image.blobs():
            context.blobs.put(data)
        return Outputs(
            layers=layers,
            blobs={"manifest": image.digest, "config": image.config_digest},
            values=ImageMade(image.digest, image.config_digest, image.size, params.platform)._asdict(),
        )

    def _config(self, params: ImageParams, deps: list[Outputs]) -> ImageConfig:
        config = ImageConfig()
        for dep in deps:
            if dep.values.get("config"):
                config = ImageConfig.from_oci(dep.values["config"]).over(config)
            if dep.values.get("labels"):
                config = ImageConfig.from_dict({"labels": dep.values["labels"]}).over(config)
        config = ImageConfig.from_dict(params.config).over(config)
        labels = contract_labels(
            routes=params.routes,
            ports=config.ports,
            model=params.model,
            models={place: digest for dep in deps for place, digest in dep.values.get("models", {}).items()},
            locks=params.locks,
        )
        labels.update(params.labels)
        if params.launcher:
            config = config._replace(entrypoint=(*params.launcher, *(config.entrypoint or ())))
        return ImageConfig.from_dict({"labels": labels}).over(config)


def _holds(role: str, dep: Outputs) -> list[str]:
    """What each layer of a dependency holds."""
    names = dep.values.get("layers") or [""] * len(dep.layers)
    return [f"{role}: {name}" if name else role for name in names]


class IndexKind:
    """An image index over the images of its dependencies, one per platform, in order.

    Outputs: the layers of all images, each once; blobs `index`, and `manifest <platform>` and
    `config <platform>` of each image.
    """

    name = "index"
    version = 1
    traits = Traits()

    def run(self, step: Step, context: Context) -> Outputs:
        """Build the index and keep it in the store. Raises ActionError."""
        manifests = []
        layers = {}
        outputs = Outputs()
        size = 0
        try:
            for dep in step.outputs:
                platform = dep.values["platform"]
                parse_platform(platform)
                manifest = context.blobs.read(dep.blobs["manifest"])
                manifests.append((platform, manifest_descriptor(manifest)))
                layers.update({layer.digest: layer for layer in dep.layers})
                size += dep.values["size"] - sum(layer.size for layer in dep.layers)
                outputs.blobs["manifest " + platform] = dep.blobs["manifest"]
                outputs.blobs["config " + platform] = dep.blobs["config"]
            index = build_index(manifests)
        except (KeyError, ValueError) as error:
            raise ActionError(f"cannot make the {step.title}: {error}") from error
        outputs.blobs["index"] = context.blobs.put(index.data)
        outputs.layers = list(layers.values())
        size += len(index.data) + sum(layer.size for layer in outputs.layers)
        platforms = {platform: descriptor["digest"] for platform, descriptor in manifests}
        outputs.values = IndexMade(index.digest, size, platforms)._asdict()
        return outputs
