#!/usr/bin/env python3
"""Receives webhooks, verifies their signatures and prints the events. Nothing but the standard library.

    WEBHOOK_SECRET=whsec_... python3 receiver.py [PORT]

The secret is the one that was shown when the webhook was made. A webhook is made by whoever knows it, and is
not older than five minutes, or it is answered with 401 and not believed. Delivery is at least once: an event
that comes again has the same webhook-id and is printed once.
"""

import base64
import collections
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

TOLERANCE_SECONDS = 300
LARGEST_BODY = 1024 * 1024
REMEMBERED = 10_000


def verified(secret, headers, signed):
    """Whether `signed` (the body, or the query string of a GET) is signed as Standard Webhooks has it."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    try:
        age = abs(time.time() - int(timestamp))
    except ValueError:
        return False
    if not message_id or age > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{message_id}.{timestamp}.".encode() + signed
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest())
    # While a secret is changed there are two signatures.
    offered = headers.get("webhook-signature", "").split()
    return any(
        hmac.compare_digest(expected, signature.removeprefix("v1,").encode())
        for signature in offered
        if signature.startswith("v1,")
    )


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    secret = ""
    seen = collections.OrderedDict()
    lock = threading.Lock()

    def do_POST(self):
        length = self.headers.get("content-length")
        if length is None:
            return self.refuse(411)
        # int() takes a sign, spaces and underscores, too.
        if not (length.isascii() and length.isdigit()):
            return self.refuse(400)
        if len(length) > 9 or int(length) > LARGEST_BODY:
            return self.refuse(413)
        self.receive(self.rfile.read(int(length)))

    do_PUT = do_POST

    def do_GET(self):
        # An empty answer to a GET: no instructions.
        self.receive(urlsplit(self.path).query.encode())

    def receive(self, signed):
        if not verified(self.secret, self.headers, signed):
            return self.answer(401)
        if self.headers.get("content-type") == "application/json":
            event = json.loads(signed)
        else:
            event = dict(parse_qsl(signed.decode(), keep_blank_values=True))
        message_id = self.headers["webhook-id"]
        with self.lock:
            if message_id not in self.seen:
                self.seen[message_id] = True
                if len(self.seen) > REMEMBERED:
                    self.seen.popitem(last=False)
                print(json.dumps(event, ensure_ascii=False), flush=True)
        self.answer(200)

    def refuse(self, status):
        """Answers and hangs up: where a body that was not read ends, nobody knows."""
        self.close_connection = True
        self.answer(status)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    Receiver.secret = os.environ.get("WEBHOOK_SECRET", "")
    if not Receiver.secret.startswith("whsec_"):
        sys.exit("WEBHOOK_SECRET must be the webhook's secret (whsec_...)")
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8900
    server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
