"""All verbs, in the order in which help lists them. A new one is a line here, and a module below `cli/commands`.

Imported on every path, so it imports nothing: "lint" is `engine.plan.LINT`.
"""


class Verb:
    """What the rest knows of a verb.

    `module` has its command line: its name below `cli.commands`. `report` is the module whose function `report` says
    how the build ended, where that is not what a build says; `after` is the module whose function `after` is handed
    the finished build, and `before` the one whose function `before` is handed what is to be built. `packages` says what
    packages become: patterns that name none are refused, with `one` those that name several. With `here`, images go to
    an engine of this machine, and are those of its platform. `sides` are the roles (`engine.plan`) of what is made
    beside the goals; without `goals` nothing else is.
    """

    __slots__ = ("after", "before", "goals", "here", "module", "one", "packages", "report", "sides", "summary")

    def __init__(
        self,
        summary: str,
        module: str,
        *,
        report: str | None = None,
        after: str | None = None,
        before: str | None = None,
        packages: str | None = None,
        one: bool = False,
        here: bool = False,
        sides: tuple[str, ...] = (),
        goals: bool = True,
    ) -> None:
        self.summary = summary
        self.module = module
        self.report = report
        self.after = after
        self.before = before
        self.packages = packages
        self.one = one
        self.here = here
        self.sides = sides
        self.goals = goals


VERBS = {
    "build": Verb("build targets and print what was built, reused and why", "build", sides=("lint",)),
    "load": Verb(
        "build one package and load it into Docker, sending only the layers it lacks",
        "load",
        after="buildrules.cli.load",
        packages="loaded",
        one=True,
        here=True,
    ),
    "run": Verb(
        "build and load one package, start it, and print how to call it",
        "run",
        after="buildrules.cli.run",
        before="buildrules.cli.run",
        packages="run",
        one=True,
        here=True,
    ),
    "ps": Verb("list the packages that run started", "ps"),
    "logs": Verb("show what a package that run started has written", "logs"),
    "stop": Verb("stop packages that run started, and remove their containers", "stop"),
    "test": Verb("start packages, send their requests and compare the answers", "test", report="buildrules.cli.test"),
    "watch": Verb("build targets again whenever something changes that they are made of", "watch"),
    "lint": Verb(
        "look for what is likely wrong in packages", "lint", report="buildrules.cli.lint", sides=("lint",), goals=False
    ),
    "export": Verb(
        "write one package as an OCI layout or an archive",
        "export",
        after="buildrules.cli.export",
        packages="exported",
        one=True,
    ),
    "copy": Verb("copy an image, unchanged, between registries and layouts", "copy"),
    "bundle": Verb(
        "build packages and write them into one file, for where no network leads",
        "bundle",
        after="buildrules.cli.bundle",
        packages="bundled",
    ),
    "unbundle": Verb("check a bundle, and take its images into a layout or a registry", "unbundle"),
    "push": Verb(
        "build packages and push them to a registry, sending only what it lacks",
        "push",
        after="buildrules.cli.push",
        packages="pushed",
    ),
    "deploy-files": Verb(
        "build packages and write the manifests that deploy them on a platform",
        "deploy_files",
        after="buildrules.cli.deploy_files",
        packages="deployed",
    ),
    "show": Verb(
        "show what a package's image is: routes, variables, layers, locks, models",
        "show",
        after="buildrules.cli.show",
        packages="shown",
        one=True,
    ),
    "layers": Verb(
        "show the layers that packages share, and what is kept of them", "layers", after="buildrules.cli.layers"
    ),
    "report": Verb("write what was built, and why, as a page to look at or as JSON", "report"),
    "size": Verb("say what makes an image large, and what could be left out", "size", after="buildrules.cli.size"),
    "diff": Verb(
        "say how two images differ: layers, packages, files, models, settings", "diff", after="buildrules.cli.diff"
    ),
    "why": Verb("say why a target was, or would be, rebuilt", "why"),
    "lock": Verb("resolve environments and bases, and write their locks", "lock"),
    "query": Verb("ask which targets there are, what they need, and what needs them", "query"),
    "affected": Verb("list what a change since a revision touches", "affected"),
    "rules": Verb("list the rules", "rules"),
    "help-rule": Verb("show one rule: attributes, layers, image", "help_rule"),
    "schema": Verb("print the JSON schema of BUILD.yaml", "schema"),
    "import": Verb("turn files of Azure ML into targets of a BUILD.yaml", "import_"),
    "fmt": Verb("put BUILD.yaml files into their usual form", "fmt"),
    "init": Verb("write a first BUILD.yaml for a folder with a model", "init"),
    "cache": Verb("look at the store, check it, shrink it; keys of a shared cache", "cache"),
    "doctor": Verb("look at this machine and workspace: what is missing, and how to get it", "doctor"),
    "completion": Verb("make a shell complete verbs, options and labels", "completion"),
    "clean": Verb("forget what this workspace's builds remembered", "clean"),
    "step": Verb("run one step that another process wrote to a file", "step"),
}
