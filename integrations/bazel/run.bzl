"""model_image_push and model_test: programs that Bazel runs."""

load("//:image.bzl", "ModelImageInfo", "inputs_text")
load("//:tool.bzl", "TOOL", "BuildrulesToolInfo")

def _quoted(words):
    return " ".join(["'" + word.replace("'", "'\\''") + "'" for word in words])

def _path_then(file):
    return file.short_path

def _program(ctx, commands, files):
    """A script that runs buildrules with each of these, as a shell takes them, in the folder of the runfiles."""
    tool = ctx.attr.tool[BuildrulesToolInfo]
    if type(tool.executable) == "string":
        first = [tool.executable]
    else:
        first = ["./" + tool.executable.executable.short_path]
    first += [word if type(word) == "string" else word.short_path for word in tool.arguments]
    lines = ["#!/bin/sh", "set -eu", 'cd "${RUNFILES_DIR:-$0.runfiles}/%s"' % ctx.workspace_name]
    lines += ['%s %s "$@"' % (_quoted(first), command) for command in commands]
    script = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(script, "\n".join(lines) + "\n", is_executable = True)
    return [DefaultInfo(executable = script, runfiles = ctx.runfiles(files = files).merge(tool.runfiles))]

def _model_image_push_impl(ctx):
    image = ctx.attr.image[ModelImageInfo]
    there = '-C "${BUILD_WORKSPACE_DIRECTORY:-/}/"%s' % _quoted([image.root])  # whose connections have the credentials
    what = '"oci-layout:$PWD/"' + _quoted([image.layout.short_path])
    commands = []
    for name in ctx.attr.names:
        commands.append("%s copy %s %s" % (there, what, _quoted(["%s:%s" % (ctx.attr.repository, name)])))
    return _program(ctx, commands, [image.layout])

model_image_push = rule(
    implementation = _model_image_push_impl,
    doc = "`bazel run` pushes an image, sending only what the registry lacks, with the logins of the workspace's connections and of Docker.",
    attrs = {
        "image": attr.label(mandatory = True, providers = [ModelImageInfo]),
        "repository": attr.string(mandatory = True, doc = "HOST/REPOSITORY."),
        "names": attr.string_list(default = ["latest"], doc = "Tags."),
        "tool": TOOL,
    },
    executable = True,
)

def _model_test_impl(ctx):
    image = ctx.attr.image[ModelImageInfo]
    files = depset(ctx.files.srcs + image.srcs).to_list()
    inputs = ctx.actions.declare_file(ctx.label.name + ".inputs")
    ctx.actions.write(inputs, inputs_text(image.root, files, image.folders, image.content, _path_then))
    words = ["--test", inputs.short_path, image.root or ".", ctx.attr.target or image.target] + image.options
    # namespaces, which Bazel's sandbox would not let it have; what is tested is laid out from the inputs alone
    return _program(ctx, [_quoted(words)], files + image.content + [inputs]) + [testing.ExecutionInfo({"no-sandbox": "1"})]

model_test = rule(
    implementation = _model_test_impl,
    doc = "`bazel test` starts a package in namespaces of its own, sends its requests and compares the answers.",
    attrs = {
        "image": attr.label(mandatory = True, providers = [ModelImageInfo]),
        "target": attr.string(doc = "A package_test in BUILD.yaml; the package itself, with its own request, if left out."),
        "srcs": attr.label_list(allow_files = True, doc = "Files that only the test reads, such as its requests."),
        "tool": TOOL,
    },
    test = True,
)
