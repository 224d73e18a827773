"""Manifests that deploy packages on a platform: what templates may say of a package, and the files they make."""
