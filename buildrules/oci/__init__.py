"""OCI: layer recipes, tar, gzip, manifests, layouts, archives, registries, the Docker Engine."""
