"""Bring images into registries: look, plan, move what is missing, and move the tags last.

`plan.make_plan` and `pushing.push` take shipments, whatever their content comes from: a build, a layout, a registry.
"""
