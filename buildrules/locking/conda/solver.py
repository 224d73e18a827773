"""A program: reads one question from its input, lets py-rattler solve it, and writes the answer.

A process of its own, since rattler's threads can bring down an interpreter that ends while they run, and since it takes
certificates and proxies from variables only. Question and answer are JSON. The question has logins, so no file has it:
`specs`, `channels`, `platforms`, `virtual` (rows of name, version, build), `kept` (rows of spec and sha256), `logins`
(rows of address and headers), `cache`. The answer has `records`, as repodata has them, with `url` and `sha256`; or
`error` ("spec", "unsolved", "channels") with `text`, and for a spec its `number`.
"""

import asyncio
import json
import os
import sys
from typing import Any
from urllib.parse import urlsplit

from buildrules.start.address import below


def main() -> None:
    """Answer, and end at once."""
    print(json.dumps(answer(json.load(sys.stdin))), flush=True)  # noqa: T201 - this is a program
    os._exit(0)


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question, see above."""
    import rattler
    from rattler.exceptions import SolverError

    specs = []
    for number, text in enumerate(question["specs"]):
        try:
            specs.append(rattler.MatchSpec(text, strict=False))
        except Exception as error:  # noqa: BLE001 - rattler's errors have no base of their own
            return {"error": "spec", "number": number, "text": str(error)}
    try:
        records = asyncio.run(_solve(question, specs))
    except SolverError as error:
        return {"error": "unsolved", "text": str(error)}
    except Exception as error:  # noqa: BLE001
        return {"error": "channels", "text": str(error)}
    return {"records": [_row(record) for record in records]}


def _row(record: Any) -> dict[str, Any]:
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "url": str(record.url),
        "sha256": record.sha256.hex() if record.sha256 is not None else None,
        "size": record.size,
        "noarch_python": bool(record.noarch.python),
        "license": record.license or "",
        "depends": list(record.depends),
    }


def _is_from(record: Any, specs: list[Any]) -> bool:
    """Whether a package is from the channel that a spec of its name wants; the solver keeps those of others as well."""
    named = [spec.channel for spec in specs if spec.name is not None and spec.name.normalized == record.name.normalized]
    return all(one is None or one.base_url.rstrip("/") == str(record.channel).rstrip("/") for one in named)


async def _solve(question: dict[str, Any], specs: list[Any]) -> list[Any]:
    from rattler import BuildString, Gateway, GenericVirtualPackage, PackageName, Version, solve
    from rattler.networking import AddHeadersMiddleware, Client, RetryMiddleware

    def headers(host: str, path: str) -> dict[str, str] | None:
        for address, found in question["logins"]:
            target = urlsplit(address)
            here = f"{target.scheme}://{target.netloc}{path}"
            if host == target.hostname and below(here, address) is not None:
                return dict(found)
        return None

    middlewares: list[Any] = [RetryMiddleware()]
    if question["logins"]:
        middlewares.append(AddHeadersMiddleware(headers))
    gateway = Gateway(cache_dir=question["cache"], client=Client(middlewares))
    channels, platforms = question["channels"], question["platforms"]
    known = []
    if question["kept"]:
        wanted = {sha256 for _, sha256 in question["kept"]}
        answers = await gateway.query(channels, platforms, [spec for spec, _ in question["kept"]], recursive=False)
        known = [one for found in answers for one in found if one.sha256 is not None and one.sha256.hex() in wanted]
        known = [one for one in known if _is_from(one, specs)]
    virtual = [
        GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
        for name, version, build in question["virtual"]
    ]
    return await solve(
        channels,
        specs,
        gateway=gateway,
        platforms=platforms,
        locked_packages=known,
        virtual_packages=virtual,
        channel_relations="disabled",
    )


if __name__ == "__main__":
    main()
