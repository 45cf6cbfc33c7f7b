"""A Java trust store with the certificates of the operating system. Standard library only.

A Java from a Python package brings its own list of authorities; behind a company's proxy, the authority that
signs is known to the operating system alone.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

STORE_PASSWORD = "changeit"  # noqa: S105 - Java's customary password; a list of public certificates has no secret

_JKS_MAGIC, _JKS_VERSION, _TRUSTED_CERTIFICATE = 0xFEEDFEED, 2, 2
_JKS_SALT = b"Mighty Aphrodite"
_BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def system_certificates(environ: Mapping[str, str] | None = None) -> list[bytes]:
    """The authorities that this machine trusts, in DER form: the first bundle that can be read, else nothing."""
    environ = os.environ if environ is None else environ
    named = [environ[name] for name in _BUNDLE_VARIABLES if environ.get(name)]
    default = ssl.get_default_verify_paths().cafile
    for bundle in [*named, *([default] if default else []), *_BUNDLES]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cafile=bundle)
        except OSError:
            continue
        certificates = context.get_ca_certs(binary_form=True)
        if certificates:
            return certificates
    return []


def java_key_store(certificates: Sequence[bytes], password: str = STORE_PASSWORD) -> bytes:
    """The bytes of a JKS file that trusts `certificates` (DER); every Java reads this format."""
    parts = [struct.pack(">III", _JKS_MAGIC, _JKS_VERSION, len(certificates))]
    for number, certificate in enumerate(certificates):
        parts.append(struct.pack(">I", _TRUSTED_CERTIFICATE) + _java_text(f"system-{number}") + struct.pack(">Q", 0))
        parts.append(_java_text("X.509") + struct.pack(">I", len(certificate)) + certificate)
    body = b"".join(parts)
    # The format prescribes SHA-1 as its check for damage; nothing secret depends on it.
    return body + hashlib.sha1(password.encode("utf-16-be") + _JKS_SALT + body, usedforsecurity=False).digest()


def trust_options(store: Path) -> str:
    """The options that make a Java trust the certificates of `store`."""
    prefix = "-Djavax.net.ssl.trustStore"
    return f"{prefix}={store} {prefix}Type=JKS {prefix}Password={STORE_PASSWORD}"


def _java_text(text: str) -> bytes:
    """An ASCII string as Java's DataOutput writes it: its length in two bytes, then itself."""
    return struct.pack(">H", len(text)) + text.encode("ascii")
