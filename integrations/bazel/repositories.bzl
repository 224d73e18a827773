"""What a WORKSPACE file loads."""

load("//:content.bzl", _content_repositories = "content_repositories")
load("//:install.bzl", _buildrules_install = "buildrules_install")

buildrules_install = _buildrules_install
content_repositories = _content_repositories
