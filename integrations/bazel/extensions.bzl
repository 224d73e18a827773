"""What a MODULE.bazel uses."""

load("//:content.bzl", "content_repositories")
load("//:install.bzl", "INSTALL_ATTRS", "buildrules_install")

def _buildrules_impl(ctx):
    installed = False
    for module in ctx.modules:
        for tag in module.tags.install if module.is_root else []:
            installed = True
            buildrules_install(name = "buildrules_tool", **{name: getattr(tag, name) for name in INSTALL_ATTRS})
        for tag in module.tags.content if module.is_root else []:
            written = ctx.read(tag.file).partition("CONTENT = ")[2]
            content_repositories(json.decode(written), mirrors = tag.mirrors)
    if not installed:
        buildrules_install(name = "buildrules_tool", requirements = ["buildrules"])

buildrules = module_extension(
    implementation = _buildrules_impl,
    tag_classes = {
        "install": tag_class(attrs = INSTALL_ATTRS),
        "content": tag_class(attrs = {
            "file": attr.label(mandatory = True, doc = "The buildrules_content.bzl that `buildrules export-to bazel` wrote."),
            "mirrors": attr.string_list(),
        }),
    },
)
