"""What runs buildrules in actions: a declared input as any other, so that remote workers have it, too."""

BuildrulesToolInfo = provider(
    doc = "How to run buildrules.",
    fields = {
        "executable": "string or FilesToRunProvider: what is run",
        "arguments": "list of string and File: its first arguments",
        "tools": "list of File: a worker is used as long as these stay the same",
        "files": "depset of File: what else is needed",
        "runfiles": "runfiles: the same for a program that is run later",
        "worker": "bool: whether it may be a persistent worker, with Bazel's protocol in JSON",
    },
)

def _buildrules_tool_impl(ctx):
    if ctx.attr.executable:
        executable = ctx.attr.executable[DefaultInfo]
        return [BuildrulesToolInfo(
            executable = executable.files_to_run,
            arguments = [],
            tools = [],
            files = depset(),
            runfiles = executable.default_runfiles.merge(ctx.runfiles(transitive_files = executable.files)),
            worker = ctx.attr.worker,
        )]
    words = [ctx.file._main, ctx.file.site]
    tools = [ctx.file._main] + ([ctx.file.version] if ctx.file.version else [])
    return [BuildrulesToolInfo(
        executable = ctx.attr.python,
        # of the machine nothing but the interpreter: no variables, no packages of its own, no compiled files left behind
        arguments = ["-I", "-S", "-B"] + words,
        tools = tools,
        files = depset([ctx.file.site]),
        runfiles = ctx.runfiles(files = words),
        worker = ctx.attr.worker,
    )]

buildrules_tool = rule(
    implementation = _buildrules_tool_impl,
    doc = "buildrules, as a folder of packages and an interpreter of the worker's, or as an executable target.",
    attrs = {
        "executable": attr.label(executable = True, cfg = "target", doc = "A target that runs buildrules; nothing else is needed then."),
        "python": attr.string(default = "/usr/bin/python3", doc = "The interpreter (3.11 or newer), where actions are run."),
        "site": attr.label(allow_single_file = True, doc = "A folder that `pip install --target` filled with buildrules."),
        "version": attr.label(allow_single_file = True, doc = "A file that changes with the folder: Bazel looks at no folder of sources to tell when workers have to go."),
        "worker": attr.bool(doc = "Keep a process for many targets; for Bazel 4.2 and newer."),
        "_main": attr.label(default = "//:main.py", allow_single_file = True),
    },
)

TOOL = attr.label(
    default = "@buildrules_tool//:tool",
    providers = [BuildrulesToolInfo],
    cfg = "exec",
    doc = "What runs buildrules: a buildrules_tool.",
)
