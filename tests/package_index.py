"""A package index of this machine's, and an environment of builds that reach nothing else."""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import ipaddress
import os
import re
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from seedbed.sandbox.services.codebuild.shell import HOST

LOCAL = "127.0.0.1"
CURVE = ec.SECP256R1()
NOWHERE = f"http://{LOCAL}:9"  # nothing listens there


def wheels(folder, *locks):
    """Fetch what locks name into a folder, for this Python, and return the folder."""
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    words += ["--only-binary=:all:", "--dest", str(folder)]
    for lock in locks:
        done = subprocess.run([*words, "-r", str(lock)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder


@dataclass(frozen=True)
class Trust:
    """A certificate of this machine's with its key, and the authority that made it."""

    pem: Path
    authority: Path


def trust(folder):
    """Write a certificate for this machine's address; uv takes none that signed itself."""
    (ours, key), (root, signing) = (
        (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]), ec.generate_private_key(CURVE))
        for one in ("index", "authority")
    )
    now, serial = dt.datetime.now(dt.UTC), x509.random_serial_number
    dates = now - dt.timedelta(days=1), now + dt.timedelta(days=1)
    authority = x509.CertificateBuilder(root, root, signing.public_key(), serial(), *dates)
    authority = authority.add_extension(x509.BasicConstraints(True, None), critical=True)
    made = x509.CertificateBuilder(root, ours, key.public_key(), serial(), *dates)
    local = x509.IPAddress(ipaddress.ip_address(LOCAL))
    made = made.add_extension(x509.SubjectAlternativeName([local]), critical=False)
    pem = serialization.Encoding.PEM
    kept = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found = Trust(folder / "index.pem", folder / "authority.pem")
    found.pem.write_bytes(kept + made.sign(signing, hashes.SHA256()).public_bytes(pem))
    found.authority.write_bytes(authority.sign(signing, hashes.SHA256()).public_bytes(pem))
    return found


class Index:
    """A folder of wheels at an https address; `asked` are the paths that were asked for."""

    def __init__(self, folder, trusted, port):
        self.folder, self.trusted, self.port = folder, trusted, port
        self.asked = []
        self.address = f"https://{LOCAL}:{self.port}/simple"

    def answer(self, path):
        """Return what lies at a path: a page of a distribution's wheels, a wheel, or nothing."""
        self.asked.append(path)
        kind, _, name = path.strip("/").partition("/")
        if kind == "files":
            file = self.folder / name
            return file.read_bytes() if file.is_file() else None
        if kind != "simple":
            return None
        known = sorted(self.folder.glob("*.whl"))
        files = [one for one in known if normalised(one.name.partition("-")[0]) == name]
        said = "".join(
            f'<a href="/files/{one.name}#sha256={hashlib.sha256(one.read_bytes()).hexdigest()}">'
            f"{html.escape(one.name)}</a>\n"
            for one in files
        )
        return said.encode() if files else None

    def served(self):
        """Return the names of the files that were asked for."""
        return {one.removeprefix("/files/") for one in self.asked if one.startswith("/files/")}


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@contextmanager
def served(folder, trusted):
    """Serve a folder of wheels as a package index."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            said = index.answer(self.path)
            self.send_response(200 if said is not None else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(said or b"")))
            self.end_headers()
            self.wfile.write(said or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer((LOCAL, 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted.pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    index = Index(folder, trusted, server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()


def alone(trusted):
    """Return the variables with which a build has no cache and reaches this machine only."""
    certificates = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return {
        **dict.fromkeys(proxies, NOWHERE),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), LOCAL),
        **dict.fromkeys(certificates, str(trusted.authority)),
    }


@contextmanager
def cut_off(trusted):
    """Set the environment of a sandbox whose builds are `alone`, and do not use ours.

    Only start it therein: urllib keeps the proxies that it finds at its first request.
    """
    ours, path = str(Path(sys.executable).parent), os.environ["PATH"].split(os.pathsep)
    with pytest.MonkeyPatch.context() as patch:
        for name in HOST:
            patch.delenv(name, raising=False)
        for name, said in alone(trusted).items():
            patch.setenv(name, said)
        patch.setenv("PATH", os.pathsep.join(one for one in path if one != ours))
        yield
