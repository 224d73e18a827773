"""MLflow's scoring server as one ASGI application, whichever MLflow there is. Runs in images.

MLflow has a FastAPI application since 2.22 and had a Flask one before. Until 3.10 it declares its routes with
`FastAPI.route`, which Starlette took away in 1.0.
"""

import importlib.util

if importlib.util.find_spec("mlflow.pyfunc.scoring_server.app"):
    import fastapi

    if not hasattr(fastapi.FastAPI, "route"):

        def route(self, path, methods=None):
            def add(function):
                self.router.add_route(path, function, methods=methods)
                return function

            return add

        fastapi.FastAPI.route = route

    from mlflow.pyfunc.scoring_server.app import app
else:
    from a2wsgi import WSGIMiddleware
    from mlflow.pyfunc.scoring_server.wsgi import app as flask_application

    app = WSGIMiddleware(flask_application)

__all__ = ["app"]
