"""buildrules itself as a repository: what pip installs."""

_BUILD = """\
load("@buildrules//:tool.bzl", "buildrules_tool")

buildrules_tool(
    name = "tool",
    python = "{python}",
    site = "site",
    version = "version",
    visibility = ["//visibility:public"],
    worker = {worker},
)
"""

_CHECK = """\
import sys
print(sys.executable)
sys.exit(sys.version_info < (3, 11) and "buildrules needs Python 3.11 or newer, and this is %d.%d" % sys.version_info[:2])
"""

def _run(ctx, words, what, folder = ""):
    done = ctx.execute(words, timeout = 1800, working_directory = folder)
    if done.return_code:
        fail("%s failed: %s%s" % (what, done.stdout, done.stderr))
    return done.stdout.strip()

def _install_impl(ctx):
    python = ctx.attr.python if "/" in ctx.attr.python else str(ctx.which(ctx.attr.python) or ctx.attr.python)
    python = _run(ctx, [python, "-c", _CHECK], python)  # not a shim, which would need variables
    words = [python, "-P", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    words += ["--target", str(ctx.path("site"))]
    folder = str(ctx.path("."))
    if ctx.attr.requirements_file:
        file = ctx.path(ctx.attr.requirements_file)
        words += ["--requirement", str(file)]
        folder = str(file.dirname)  # where paths in it begin
    _run(ctx, words + ctx.attr.pip_arguments + ctx.attr.requirements, "pip", folder)
    _run(ctx, [python, str(ctx.path(ctx.attr._tidy)), "site", "version"], python)
    # a Bazel that somebody built has no version; that will be a new one
    old = native.bazel_version.startswith(("0.", "1.", "2.", "3.", "4.0", "4.1"))
    ctx.file("BUILD.bazel", _BUILD.format(python = python, worker = ctx.attr.worker and not old))

INSTALL_ATTRS = {
    "requirements": attr.string_list(doc = "Like buildrules==VERSION, from a feed of yours."),
    "requirements_file": attr.label(doc = "A file for pip, best with hashes; paths in it, and in pip_arguments, begin at its folder."),
    "pip_arguments": attr.string_list(doc = "Such as --index-url URL."),
    "python": attr.string(default = "python3", doc = "On this machine, and at the same path on those that run actions."),
    "worker": attr.bool(default = True, doc = "Keep a process for many targets, where Bazel can (from 4.2 on)."),
}

buildrules_install = repository_rule(
    implementation = _install_impl,
    doc = "Installs buildrules with pip, for tool attributes: @NAME//:tool.",
    attrs = dict(INSTALL_ATTRS, _tidy = attr.label(default = "//:tidy.py")),
    environ = ["PATH"],
)
