"""Records and content elsewhere: a cache that a team shares. Each protocol is one module behind `remote.backend`."""
