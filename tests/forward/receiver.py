"""An endpoint for webhooks, as an operator would write one from the standard alone (Standard Webhooks 1.0).

receiver.py FOLDER SECRET - serves https://localhost:PORT with certificate.pem and key.pem in FOLDER, and prints PORT.

How it answers is read from the file FOLDER/answer before each answer: a status, and for a redirect where to; 204 without
it. What it got is written to FOLDER/got, a line of JSON for each request.
"""

import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import ssl
import sys
import time

folder = pathlib.Path(sys.argv[1])
secret = base64.b64decode(sys.argv[2].removeprefix("whsec_"))


def is_genuine(headers, body):
    identity, at = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(at)) > 300:
        return False
    tag = hmac.new(secret, f"{identity}.{at}.".encode() + body, hashlib.sha256).digest()
    expected = base64.b64encode(tag).decode()
    given = [one.removeprefix("v1,") for one in headers["webhook-signature"].split(" ")]
    return any(hmac.compare_digest(expected, one) for one in given)


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            status, _, where = (folder / "answer").read_text().partition(" ")
        except FileNotFoundError:
            status, where = "204", ""
        got = {
            "path": self.path,
            "host": self.headers["host"],
            "type": self.headers["content-type"],
            "id": self.headers["webhook-id"],
            "genuine": is_genuine(self.headers, body),
            "status": int(status),
            "body": json.loads(body),
        }
        with open(folder / "got", "a") as file:
            file.write(json.dumps(got) + "\n")
        self.send_response(int(status))
        if where:
            self.send_header("location", where)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self):
        with open(folder / "got", "a") as file:
            file.write(json.dumps({"path": self.path, "method": "GET"}) + "\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
server.socket = tls.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
