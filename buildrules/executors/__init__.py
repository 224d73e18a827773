"""Steps on other machines: what is sent, what comes back, and the engines that take it there.

`away` hands a step to an engine or leaves it here (`placement`); `task` is what is sent, `needs` the content it names,
`answer` what comes back; `worker` runs a task where it arrives. `reapi` and `dask` are engines.
"""
