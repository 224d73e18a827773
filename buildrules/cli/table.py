"""All verbs, in the order in which help lists them. A new one is a line here, and a module below `cli/commands`.

"lint" is `engine.plan.LINT`.
"""

from buildrules.typed import NamedTuple


class Verb(NamedTuple):
    """What the rest knows of a verb. Its command line is in the module of its name below `cli.commands`.

    `calls` are the functions of the module of its name below `cli`: `before` is handed what is to be built, `report`
    says how the build ended, where that is not what a build says, `after` is handed the finished build. `packages` says
    what packages become: patterns that name none are refused, with `one` those that name several. With `here`, images
    go to an engine of this machine, and are those of its platform. `sides` are the roles (`engine.plan`) of what is
    made beside the goals; without `goals` nothing else is.
    """

    summary: str
    calls: tuple[str, ...] = ()
    packages: str | None = None
    one: bool = False
    here: bool = False
    sides: tuple[str, ...] = ()
    goals: bool = True


VERBS = {
    "build": Verb("build targets and print what was built, reused and why", sides=("lint",)),
    "load": Verb(
        "build one package and load it into Docker, sending only the layers it lacks",
        ("after",),
        "loaded",
        one=True,
        here=True,
    ),
    "run": Verb(
        "build and load one package, start it, and print how to call it",
        ("before", "after"),
        "run",
        one=True,
        here=True,
    ),
    "ps": Verb("list the packages that run started"),
    "logs": Verb("show what a package that run started has written"),
    "stop": Verb("stop packages that run started, and remove their containers"),
    "test": Verb("start packages, send their requests and compare the answers", ("report",)),
    "watch": Verb("build targets again whenever something changes that they are made of"),
    "lint": Verb("look for what is likely wrong in packages", ("report",), sides=("lint",), goals=False),
    "worker": Verb("run tasks of an execution engine, one after the other"),
    "export": Verb("write one package as an OCI layout or an archive", ("after",), "exported", one=True),
    "export-to": Verb("write files that make packages targets of another build system"),
    "copy": Verb("copy an image, unchanged, between registries and layouts"),
    "bundle": Verb("build packages and write them into one file, for where no network leads", ("after",), "bundled"),
    "unbundle": Verb("check a bundle, and take its images into a layout or a registry"),
    "push": Verb("build packages and push them to a registry, sending only what it lacks", ("after",), "pushed"),
    "deploy-files": Verb(
        "build packages and write the manifests that deploy them on a platform", ("after",), "deployed"
    ),
    "show": Verb(
        "show what a package's image is: routes, variables, layers, locks, models", ("after",), "shown", one=True
    ),
    "layers": Verb("show the layers that packages share, and what is kept of them", ("after",)),
    "report": Verb("write what was built, and why, as a page to look at or as JSON"),
    "size": Verb("say what makes an image large, and what could be left out", ("after",)),
    "diff": Verb("say how two images differ: layers, packages, files, models, settings", ("after",)),
    "why": Verb("say why a target was, or would be, rebuilt"),
    "lock": Verb("resolve environments and bases, and write their locks"),
    "query": Verb("ask which targets there are, what they need, and what needs them"),
    "affected": Verb("list what a change since a revision touches"),
    "rules": Verb("list the rules"),
    "help-rule": Verb("show one rule: attributes, layers, image"),
    "schema": Verb("print the JSON schema of BUILD.yaml"),
    "import": Verb("turn files of Azure ML into targets of a BUILD.yaml"),
    "fmt": Verb("put BUILD.yaml files into their usual form"),
    "init": Verb("write a first BUILD.yaml for a folder with a model"),
    "cache": Verb("look at the store, check it, shrink it; keys of a shared cache"),
    "doctor": Verb("look at this machine and workspace: what is missing, and how to get it"),
    "setup": Verb("make buildrules a part of Docker's command line"),
    "hook": Verb("check what belongs to the files of a commit, for hooks of git"),
    "completion": Verb("make a shell complete verbs, options and labels"),
    "clean": Verb("forget what this workspace's builds remembered"),
    "guest": Verb("build for another build system, from declared inputs alone"),
    "step": Verb("run one step that another process wrote to a file"),
}


def module_of(verb: str) -> str:
    """The name of a verb's module."""
    return verb.replace("-", "_").replace("import", "import_")
