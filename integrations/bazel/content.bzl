"""What packages fetch, as repositories: one for each file, fetched when a target needs it, and one that names them."""

load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_file")

_FILE = "buildrules_content_%s"

def _filegroup(name, labels):
    return "filegroup(name = %r, srcs = %r)" % (name, labels)

def _hub_impl(ctx):
    lines = ['package(default_visibility = ["//visibility:public"])']
    for name, digests in ctx.attr.groups.items():
        lines.append(_filegroup(name, ["@%s//file" % (_FILE % digest) for digest in digests]))
    for name, groups in ctx.attr.targets.items():
        lines.append(_filegroup(name, [":" + group for group in groups]))
    ctx.file("BUILD.bazel", "\n".join(lines) + "\n")

_hub = repository_rule(
    implementation = _hub_impl,
    attrs = {"groups": attr.string_list_dict(), "targets": attr.string_list_dict()},
)

def content_repositories(content, mirrors = []):
    """Declares the repository buildrules_content, and one for each file.

    Args:
        content: CONTENT of the buildrules_content.bzl that `buildrules export-to bazel` wrote.
        mirrors: addresses to try before the locked ones, such as "https://files.example.com/{sha256}/{name}".
    """
    for digest, row in content["files"].items():
        urls = [url.format(sha256 = digest, name = row[0]) for url in mirrors] + row[1:]
        http_file(
            name = _FILE % digest,
            downloaded_file_path = digest,
            sha256 = digest,
            # a --distdir may have it by this name; what fails says where to look
            urls = urls or ["https://no-address-is-locked.see-mirrors-of-content-repositories.invalid/" + row[0]],
        )
    _hub(name = "buildrules_content", groups = content["groups"], targets = content["targets"])
