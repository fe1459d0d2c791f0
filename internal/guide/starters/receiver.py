"""A receiver of webhooks: it checks the signature, drops repeats, answers at
once and works afterwards.

    WEBHOOK_SECRET='whsec_…' PORT=8000 python3 receiver.py
"""
import base64
import collections
import hashlib
import hmac
import json
import os
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


# BEGIN verify
def genuine(secret: str, headers, body: bytes) -> bool:
    """Whether a request was signed with the secret (whsec_…) in the last five
    minutes. The body must be the bytes as they came."""
    id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > 300:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{id}.{sent}.".encode() + body, hashlib.sha256)
    want = "v1," + base64.b64encode(mac.digest()).decode()
    # There are several signatures while a secret is being changed.
    return any(hmac.compare_digest(got.encode(), want.encode())
               for got in headers.get("webhook-signature", "").split())
# END verify


# The newest ids. A server that may restart keeps them in its database instead,
# in the transaction that does the work.
seen = collections.OrderedDict()
lock = threading.Lock()
jobs = queue.Queue()


def first(id: str) -> bool:
    """Whether an id is new; it is remembered."""
    with lock:
        if id in seen:
            return False
        seen[id] = True
        if len(seen) > 10_000:
            seen.popitem(last=False)
        return True


def work():
    while True:
        event = json.loads(jobs.get())
        print("received:", event.get("text"), flush=True)  # your work goes here


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length) if length <= 1 << 20 else b""
        good = genuine(os.environ["WEBHOOK_SECRET"], self.headers, body)
        if good and first(self.headers["webhook-id"]):
            jobs.put(body)
        self.send_response(204 if good else 400)
        self.end_headers()

    def log_message(self, *args):
        pass


threading.Thread(target=work, daemon=True).start()
print("listening on port", os.environ["PORT"], flush=True)
ThreadingHTTPServer(("", int(os.environ["PORT"])), Receiver).serve_forever()
