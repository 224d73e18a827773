"""Azure ML's files (packages, environments, models, deployments, connections) turned into targets of a BUILD.yaml."""
