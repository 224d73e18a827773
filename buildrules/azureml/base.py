"""The base of an environment: the one on the command line, or one whose Python fits."""

import os
import re
from typing import Any

from packaging.specifiers import SpecifierSet

from buildrules.authoring.release import RELEASES, STANDALONE, DebianRelease, python_for
from buildrules.authoring.target import Local, Ref
from buildrules.azureml.conversion import Conversion
from buildrules.azureml.document import text_of
from buildrules.errors import LoadError, UsageError
from buildrules.locking.python.collector import PythonPin
from buildrules.rules.chain import LIBRARIES

_LABEL = re.compile(r"(//[^:]*)?:[^:]+|//[^:]+")


def python_to_write(asked: str | None, base: str | None, pin: PythonPin | None) -> str | None:
    """The Python to write although the file asks for another: the one on the command line, or another patch release."""
    if asked is not None:
        there = [release.python for release in RELEASES if release.minor == asked] or [asked]
        return None if pin is not None and any(map(SpecifierSet(pin.specifier).contains, there)) else asked
    if pin is None or base is not None:
        return None
    one = re.fullmatch(r"={2,3}(3\.\d+)(\.\d+)?(\.\*)?", pin.specifier)  # of one release, as ==3.11.9
    patch = next((release for release in RELEASES if one is not None and release.python.startswith(f"{one[1]}.")), None)
    if patch is None:
        return pin.minor  # of one patch release the newest of its kind is taken
    return None if SpecifierSet(pin.specifier).contains(patch.python) else patch.minor


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
    gets. Raises LoadError, or UsageError where `--python` asks for what there is not.
    """

    def debian(name: str, suite: str | None, remark: str | None = None, *, python: bool = True) -> Ref:
        name, packages = (f"{name}-{package}", [package]) if package is not None else (name, None)
        if packages is not None and not python:
            packages += LIBRARIES
        attributes = {"suite": suite, "packages": packages, "python": None if python else False}
        return Ref(conversion.targets.add(name, "debian_base", attributes, remarks={"suite": remark}))

    given = conversion.options.base
    if given is not None:
        return debian(given, given) if is_release(given) else _given(conversion, given, name, own_user=own_user)
    python = conversion.options.python
    if conversion.options.conda:
        return debian("debian", None, python=False)
    asked = f"=={python}.*" if python is not None else pin.specifier if pin is not None else ""
    try:
        found = python_for(asked)
    except ValueError:
        found = None  # whatever it is that was asked for
    if isinstance(found, DebianRelease) and python in (None, found.minor, found.python):
        return debian(f"python{found.minor.replace('.', '')}", found.suite, found.words)
    if found is not None:
        version = python or str(found)
        below = debian("debian", None, python=False) if package is not None else None
        asker = pin if python is None else None
        remark = f"{os.path.basename(asker.position.path)} asks for {asker.text}" if asker is not None else None
        attributes, remarks = {"version": version, "base": below}, {"version": remark}
        name = f"python{version.replace('.', '')}"
        return Ref(conversion.targets.add(name, "python_standalone", attributes, remarks=remarks))
    there = f"the oldest is {STANDALONE[0]}, the newest {STANDALONE[-1]}"
    if python is not None:
        raise UsageError(f"there is no Python {python}: {there}", hint="or name an image that has it with --base IMAGE")
    assert pin is not None
    raise LoadError(
        f"the environment asks for Python {pin.version}, and there is none: {there}",
        hint=f"override it with --python {STANDALONE[-1]}, or name an image that has it with --base IMAGE",
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
        attributes = {
            "image": text if text_of(conversion.workspace, "default_registry") is not None else full_image(text)
        }
    attributes |= {"python": conversion.options.python, "user": "" if own_user else None}
    remarks = {"user": "the image's own" if own_user else None}
    return Ref(conversion.targets.add(f"{name}-base", "oci_base", attributes, remarks=remarks))
