"""The part of the APIs of GitHub and GitLab that has the comments of pull and merge requests."""

import json
from urllib.parse import parse_qs, urlsplit

from tests.support.local import Local, Plain


class Comments(Local):
    """`all` has the text of each comment by its number, `asked` what was asked for; `token` lets in."""

    def __init__(self, token: str) -> None:
        self.token, self.all, self.asked = token, {1: "Looks good."}, list[str]()
        super().__init__(self._take)

    def _take(self, plain: Plain) -> None:
        asked = urlsplit(plain.path)
        body = plain.rfile.read(int(plain.headers.get("Content-Length", "0"))).decode()
        self.asked.append(f"{plain.command} {asked.path}")
        given = plain.headers.get("Authorization", "").removeprefix("Bearer ") or plain.headers.get("PRIVATE-TOKEN")
        if given != self.token:
            plain.send(401, b'{"message": "Bad credentials"}')
            return
        if plain.command == "GET":
            query = parse_qs(asked.query)
            size, page = int(query["per_page"][0]), int(query["page"][0])
            rows = [{"id": number, "body": text} for number, text in self.all.items()]
            plain.send(200, json.dumps(rows[(page - 1) * size : page * size]).encode())
            return
        form = plain.headers["Content-Type"] == "application/x-www-form-urlencoded" and not body.startswith("{")
        text = parse_qs(body)["body"][0] if form else json.loads(body)["body"]
        number = len(self.all) + 1 if plain.command == "POST" else int(asked.path.rpartition("/")[2])
        self.all[number] = text
        plain.send(201, b"{}")
