"""The base of an environment: the one on the command line, or the Debian release whose Python fits."""

import os
import re
from typing import Any

from buildrules.authoring.release import RELEASES
from buildrules.authoring.target import Local, Ref
from buildrules.azureml.conversion import Conversion
from buildrules.errors import LoadError, UsageError
from buildrules.locking.python.collector import PythonPin

_LABEL = re.compile(r"(//[^:]*)?:[^:]+|//[^:]+")


def python_to_write(asked: str | None, base: str | None, pin: PythonPin | None) -> str | None:
    """The Python to write although the file asks for another: the one on the command line, or another patch release."""
    if asked is not None:
        there = [release.python for release in RELEASES if release.minor == asked] or [asked]
        return None if pin is not None and any(_contains(pin, version) for version in there) else asked
    if pin is None or base is not None:
        return None
    patch = next((release for release in RELEASES if _same_minor(pin, release.python)), None)
    return None if patch is None or _contains(pin, patch.python) else patch.minor


def _contains(pin: PythonPin, version: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(pin.specifier).contains(version)


def _same_minor(pin: PythonPin, version: str) -> bool:
    """Whether a pin of one release (==3.11.9) has the minor version of `version`."""
    found = re.fullmatch(r"={2,3}(3\.\d+)(\.\d+)?(\.\*)?", pin.specifier)
    return found is not None and version.startswith(f"{found[1]}.")


def is_release(base: str) -> bool:
    """Whether `--base` names a Debian release, which holds no server of its own."""
    return base in {release.suite for release in RELEASES}


def full_image(text: str) -> str:
    """An image's name as Docker and Azure read it: one without a registry is Docker Hub's.

    Source: github.com/distribution/reference, normalize.go (splitDockerDomain).
    """
    first, slash, _ = text.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first or first != first.lower()):
        return text
    return f"docker.io/{text}" if slash else f"docker.io/library/{text}"


def base_target(
    conversion: Conversion, pin: PythonPin | None, name: str, *, own_user: bool = False, package: str | None = None
) -> Ref | str:
    """A base, as a label or a target: the one on the command line, or the Debian whose Python fits `pin`.

    With `own_user` an image on the command line runs as the user it names itself; `package` is one more that a Debian
    gets. Raises LoadError, or UsageError where `--python` asks for what no Debian has.
    """

    def debian(name: str, suite: str, remarks: dict[str, str | None]) -> Ref:
        name, packages = (f"{name}-{package}", [package]) if package is not None else (name, None)
        attributes = {"suite": suite, "packages": packages}
        return Ref(conversion.targets.add(name, "debian_base", attributes, remarks=remarks))

    given = conversion.options.base
    if given is not None:
        return debian(given, given, {}) if is_release(given) else _given(conversion, given, name, own_user=own_user)
    python = conversion.options.python
    for release in RELEASES:
        fits = pin is None or _contains(pin, release.python) or _same_minor(pin, release.python)
        if python in (release.python, release.minor) if python is not None else fits:
            return debian(f"python{release.minor.replace('.', '')}", release.suite, {"suite": release.words})
    has = " and ".join(f"{release.minor} ({release.suite})" for release in RELEASES)
    if python is not None:
        hint = f"there is {has}; or name an image with --base IMAGE"
        raise UsageError(f"no Debian base has Python {python}", hint=hint)
    assert pin is not None
    raise LoadError(
        f"the environment asks for Python {pin.version}, and no Debian base has it: there is {has}",
        hint="override it with --python 3.11, or name an image that has it with --base IMAGE",
        position=pin.position,
    )


def _given(conversion: Conversion, text: str, name: str, *, own_user: bool) -> Ref | str:
    if _LABEL.fullmatch(text):
        return text
    attributes: dict[str, Any]
    docker = re.match(r"docker(-daemon)?:", text)
    if docker is not None:
        attributes = {"docker": text[docker.end() :]}
    elif text.startswith(("oci-layout:", "layout:")) or os.path.isfile(os.path.join(text, "oci-layout")):
        attributes = {"layout": Local(os.path.abspath(re.sub(r"^(oci-)?layout:", "", text)))}
    else:  # a workspace's own default registry completes the name
        attributes = {"image": text if conversion.default_registry() is not None else full_image(text)}
    attributes |= {"python": conversion.options.python, "user": "" if own_user else None}
    remarks = {"user": "the image's own" if own_user else None}
    return Ref(conversion.targets.add(f"{name}-base", "oci_base", attributes, remarks=remarks))
