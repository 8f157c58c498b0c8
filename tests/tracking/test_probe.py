"""The check of a server uses the certificates and proxies of MLflow's client."""

import contextlib
import datetime
import ipaddress
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from src.bad_input import BadInput
from src.options import Tracking
from src.tracking.address import check_address
from tests.tracking.servers import free_port


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):  # http.server calls it so
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def listening(context=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate with its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(encoding) + secret)
    return path


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with listening(context) as port:
        yield f"https://127.0.0.1:{port}"


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE"])
def test_a_certificate_that_the_client_trusts_is_trusted(tls, certificate, monkeypatch, variable):
    with pytest.raises(BadInput, match=r"(?i)certificate"):
        check_address(Tracking(uri=tls))
    monkeypatch.setenv(variable, str(certificate))
    check_address(Tracking(uri=tls))


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # urllib3 repeats what the user chose
def test_a_certificate_is_ignored_if_the_client_ignores_it(tls, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    check_address(Tracking(uri=tls))


def test_no_proxy_may_name_a_range_of_addresses(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with listening() as port:
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        with pytest.raises(BadInput, match=r"(?i)proxy"):
            check_address(Tracking(uri=f"http://127.0.0.1:{port}"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        monkeypatch.setenv("no_proxy", "127.0.0.0/8")
        check_address(Tracking(uri=f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize("typed", ["tracking.uri", "--uri"])
def test_a_refusal_names_the_typed_option(typed):
    with pytest.raises(BadInput, match=typed):
        check_address(Tracking(uri=f"http://127.0.0.1:{free_port()}"), typed)
