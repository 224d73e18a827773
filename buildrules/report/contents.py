"""What layers hold, in a word, by the kind of the step that makes them."""

KINDS = {
    "oci_base": "base",
    "debian_layers": "base",
    "python_layer": "base",
    "conda_layer": "packages",
    "wheel_layer": "packages",
    "bytecode_layer": "packages",  # the standard library's among them
    "build_wheel": "packages",
    "model_layers": "models",
    "fetched_model": "models",
}
"""Those of other kinds hold "code and files"."""

OTHER = "code and files"
