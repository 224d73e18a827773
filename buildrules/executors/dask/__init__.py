"""Steps on a cluster of Dask: through its scheduler go tasks and answers, and content through the shared cache.

`engine` submits tasks, over what `tls` has opened; `work` is what a Dask worker runs: it hands the task to a
`buildrules worker` beside it (`executors.serve`).
"""
