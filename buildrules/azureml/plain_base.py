"""A base without packages: the one on the command line, or the Debian release whose Python fits."""

import os
import re
from typing import Any

from buildrules.azureml.condafile import Pin
from buildrules.azureml.targets import Local, Ref
from buildrules.azureml.work import Work
from buildrules.errors import UsageError

__all__ = ["full_image", "is_release", "plain_base", "python_override"]

_SUITES = {"3.11.2": ("bookworm", "Debian 12"), "3.13.5": ("trixie", "Debian 13")}
"""Python of the Debian releases that `debian_base` knows, the usual one first."""
_LABEL = re.compile(r"(//[^:]*)?:[^:]+|//[^:]+")


def python_override(work: Work, pin: Pin | None) -> str | None:
    """The Python to write although the file asks for another: the one on the command line, or another patch release."""
    from packaging.specifiers import SpecifierSet

    said = work.options.python
    if said is not None:
        return said if pin is None or not _fits(pin.specifier, said) else None
    if pin is None or work.options.base is not None:
        return None
    patch = next((version for version in _SUITES if _same_minor(pin.specifier, version)), None)
    if patch is None or SpecifierSet(pin.specifier).contains(patch):
        return None
    return patch.rpartition(".")[0]


def _fits(specifier: str, python: str) -> bool:
    from packaging.specifiers import SpecifierSet

    versions = [version for version in _SUITES if version.startswith(f"{python}.")] or [python]
    return any(SpecifierSet(specifier).contains(version) for version in versions)


def _same_minor(specifier: str, version: str) -> bool:
    """Whether a pin of one release (==3.11.9) has the minor version of `version`."""
    found = re.fullmatch(r"={2,3}(3\.\d+)(\.\d+)?(\.\*)?", specifier)
    return found is not None and version.startswith(f"{found[1]}.")


def is_release(base: str) -> bool:
    """Whether `--base` names a Debian release, which holds no server of its own."""
    return base in {suite for suite, _ in _SUITES.values()}


def full_image(text: str) -> str:
    """An image's name as Docker and Azure read it: one without a registry is Docker Hub's.

    Source: github.com/distribution/reference, normalize.go (splitDockerDomain).
    """
    first, slash, _ = text.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first or first != first.lower()):
        return text
    return f"docker.io/{text}" if slash else f"docker.io/library/{text}"


def plain_base(work: Work, pin: Pin | None, name: str, *, own_user: bool = False) -> Ref | str | None:
    """A base, as a label or a target: the one on the command line, or the Debian whose Python fits `pin`.

    With `own_user` an image on the command line runs as the user it names itself.
    """
    if work.options.base is not None:
        return _given_base(work, work.options.base, name, own_user=own_user)
    from packaging.specifiers import SpecifierSet

    python = work.options.python
    for version, (suite, release) in _SUITES.items():
        if python is not None:
            fits = python == version or python == version.rpartition(".")[0]
        else:
            fits = pin is None or SpecifierSet(pin.specifier).contains(version) or _same_minor(pin.specifier, version)
        if fits:
            minor = version.rpartition(".")[0]
            made = work.targets.add(
                f"python{minor.replace('.', '')}",
                "debian_base",
                {"suite": suite},
                remarks={"suite": f"{release}, Python {minor}"},
                kind="base",
            )
            return Ref(made)
    has = " and ".join(f"{version.rpartition('.')[0]} ({suite})" for version, (suite, _) in _SUITES.items())
    if python is not None:
        raise UsageError(
            f"no Debian base has Python {python}", hint=f"there is {has}; or name an image with --base IMAGE"
        )
    assert pin is not None
    wanted = pin.specifier.removeprefix("==").removesuffix(".*")
    work.fail(
        pin.node,
        f"the environment asks for Python {wanted}, and no Debian base has it: there is {has}",
        "override it with --python 3.11, or name an image that has it with --base IMAGE",
    )
    return None


def _given_base(work: Work, text: str, name: str, *, own_user: bool) -> Ref | str:
    if _LABEL.fullmatch(text):
        return text
    if is_release(text):
        return Ref(work.targets.add(text, "debian_base", {"suite": text}, kind="base"))
    short = work.default_registry() is not None  # which completes it
    attributes: dict[str, Any] = {"image": text if short else full_image(text)}
    for scheme, attribute in (("docker:", "docker"), ("docker-daemon:", "docker")):
        if text.startswith(scheme):
            attributes = {attribute: text.removeprefix(scheme)}
    if text.startswith(("oci-layout:", "layout:")) or os.path.isfile(os.path.join(text, "oci-layout")):
        attributes = {"layout": Local(os.path.abspath(re.sub(r"^(oci-)?layout:", "", text)))}
    if work.options.python:
        attributes["python"] = work.options.python
    remarks = {}
    if own_user:
        attributes["user"] = ""
        remarks["user"] = "the image's own"
    return Ref(work.targets.add(f"{name}-base", "oci_base", attributes, remarks=remarks, kind="base"))
