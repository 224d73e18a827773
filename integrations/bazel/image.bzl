"""model_image: a package of buildrules as a target."""

load("//:tool.bzl", "TOOL", "BuildrulesToolInfo")

ModelImageInfo = provider(
    doc = "A built image, and what it is built from.",
    fields = {
        "digest": "File: the manifest's digest, as sha256:HEX",
        "descriptor": "File: the OCI descriptor of the manifest or index",
        "layout": "File: an OCI image layout, a directory; made where it is asked for",
        "target": "string: the label in BUILD.yaml",
        "options": "list of string: --platform and --config, for buildrules",
        "root": "string: the folder of the workspace in its repository, or empty",
        "srcs": "list of File",
        "folders": "list of string",
        "content": "list of File",
    },
)

def inputs_text(root, srcs, folders, content, path_of):
    """What `guest build` takes with --inputs; path_of gives the path of a file."""
    start = root + "/" if root else ""
    lines = []
    for file in srcs:
        if not file.is_source or not path_of(file).startswith(start):
            fail("'%s' is no source file below '%s'" % (path_of(file), root), "srcs")
        lines.append(path_of(file)[len(start):])
    lines += [folder + "/" for folder in folders]
    for file in content:
        if len(file.basename) != 64:
            fail("'%s' is not named by its SHA-256" % path_of(file), "content")
        lines.append("sha256:%s  %s" % (file.basename, path_of(file)))
    return "\n".join(lines) + "\n"

def _path_now(file):
    return file.path

def _build(ctx, options, root, inputs, more, outputs, layout):
    tool = ctx.attr.tool[BuildrulesToolInfo]
    first = ctx.actions.args()
    first.add_all(tool.arguments + ["guest", "build"], expand_directories = False)
    given = ctx.actions.args()
    given.add_all([ctx.attr.target, "--offline", "--root", root or ".", "--inputs", inputs.path])
    given.add_all(["--out", outputs[0].dirname] + options + (["--layout"] if layout else []))
    given.use_param_file("@%s", use_always = True)  # as workers want it
    given.set_param_file_format("multiline")
    requirements = {"block-network": "1"}
    if tool.worker:
        requirements.update({"supports-workers": "1", "requires-worker-protocol": "json"})
    ctx.actions.run(
        executable = tool.executable,
        arguments = [first, given],
        inputs = depset([inputs, more] + ctx.files.srcs + ctx.files.content, transitive = [tool.files]),
        tools = tool.tools,
        outputs = outputs,
        env = {},
        mnemonic = "ModelLayout" if layout else "ModelImage",
        progress_message = "%s the image of %s" % ("Writing" if layout else "Building", ctx.attr.target),
        execution_requirements = requirements,
    )

def _model_image_impl(ctx):
    options = ["--platform", ctx.attr.platform] if ctx.attr.platform else []
    for config in ctx.attr.configs:
        options += ["--config", config]
    root = "/".join([part for part in [ctx.label.workspace_root, ctx.attr.root] if part])
    inputs = ctx.actions.declare_file(ctx.label.name + ".inputs")
    ctx.actions.write(inputs, inputs_text(root, ctx.files.srcs, ctx.attr.folders, ctx.files.content, _path_now))
    executables = ctx.actions.declare_file(inputs.basename + ".executables")
    ctx.actions.write(executables, "\n".join(ctx.attr.executables) + "\n")
    digest = ctx.actions.declare_file(ctx.label.name + ".image/digest")
    descriptor = ctx.actions.declare_file(ctx.label.name + ".image/descriptor.json")
    _build(ctx, options, root, inputs, executables, [digest, descriptor], False)
    layout = ctx.actions.declare_directory(ctx.label.name + ".layout/layout")
    _build(ctx, options, root, inputs, executables, [layout], True)
    return [
        DefaultInfo(files = depset([digest, descriptor])),
        OutputGroupInfo(layout = depset([layout])),
        ModelImageInfo(
            digest = digest,
            descriptor = descriptor,
            layout = layout,
            target = ctx.attr.target,
            options = options,
            root = ctx.attr.root,
            srcs = ctx.files.srcs,
            folders = ctx.attr.folders,
            content = ctx.files.content,
        ),
    ]

model_image = rule(
    implementation = _model_image_impl,
    doc = "Builds a package: its digest and descriptor, and in the output group layout the image.",
    attrs = {
        "target": attr.string(mandatory = True, doc = "The label in BUILD.yaml."),
        "srcs": attr.label_list(allow_files = True, doc = "All files of the workspace that it is made of."),
        "folders": attr.string_list(doc = "Empty folders that it is made of, relative to the root."),
        "executables": attr.string_list(doc = "Which of srcs are executable, relative to the root: on other machines all are."),
        "content": attr.label_list(allow_files = True, doc = "What is fetched for it; each file is named by its SHA-256."),
        "root": attr.string(doc = "The workspace's folder, where it is not the root of this repository."),
        "platform": attr.string(doc = "Like linux/arm64; the workspace's platforms if left out."),
        "configs": attr.string_list(doc = "Configurations of the workspace that hold."),
        "tool": TOOL,
    },
)
