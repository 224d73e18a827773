"""The rules. `buildrules export-to bazel` writes targets of model_image; see README.md."""

load("//:image.bzl", _ModelImageInfo = "ModelImageInfo", _model_image = "model_image")
load("//:run.bzl", _model_image_push = "model_image_push", _model_test = "model_test")
load("//:tool.bzl", _buildrules_tool = "buildrules_tool")

ModelImageInfo = _ModelImageInfo
buildrules_tool = _buildrules_tool
model_image = _model_image
model_image_push = _model_image_push
model_test = _model_test
