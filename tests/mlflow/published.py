"""Makes published.json: `python published.py FOLDER... > published.json`, with mlflow's wheels unpacked in folders.

`model` are the keys that `Model.to_dict` may write into MLmodel, `signature` those of `ModelSignature`; and `versions`
those of flavours (`add_flavor`) that name the version of a library.
"""

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path


def model_keys(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == "Model":
            for method in (one for one in node.body if isinstance(one, ast.FunctionDef)):
                if method.name == "__init__":
                    yield from (one.arg for one in method.args.args[1:])
                elif method.name == "to_dict":
                    for one in ast.walk(method):
                        if isinstance(one, ast.Subscript) and isinstance(one.slice, ast.Constant):
                            yield str(one.slice.value)


def signature_keys(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == "ModelSignature":
            (method,) = (one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "to_dict")
            for one in ast.walk(method):
                if isinstance(one, ast.Dict):
                    yield from (str(key.value) for key in one.keys if isinstance(key, ast.Constant))


def version_keys(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_flavor":
            yield from (one.arg for one in node.keywords if one.arg and one.arg.endswith("_version"))


if __name__ == "__main__":
    model: set[str] = set()
    signature: set[str] = set()
    versions: set[str] = set()
    for folder in map(Path, sys.argv[1:]):
        model |= set(model_keys(ast.parse((folder / "mlflow/models/model.py").read_text())))
        signature |= set(signature_keys(ast.parse((folder / "mlflow/models/signature.py").read_text())))
        for path in (folder / "mlflow").rglob("*.py"):
            versions |= set(version_keys(ast.parse(path.read_text())))
    sys.stdout.write(
        json.dumps({"model": sorted(model), "signature": sorted(signature), "versions": sorted(versions)}, indent=1)
        + "\n"
    )
