import http.server
import json
import os
import signal
import threading

import joblib

model = joblib.load(os.environ["MODEL"])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200 if self.path == "/up" else 404, {"up": True})

    def do_POST(self):
        try:
            rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["data"]
            self.answer(200, model.predict(rows).tolist())
        except (KeyError, TypeError, ValueError) as error:
            self.answer(400, {"error": str(error)})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("", 9090), Handler)
signal.signal(signal.SIGINT, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
