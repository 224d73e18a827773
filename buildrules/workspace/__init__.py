"""The workspace: root, settings, BUILD.yaml loading with positions, labels, globs."""
