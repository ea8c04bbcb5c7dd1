"""An EST registration authority (RFC 7030, RFC 8951) that shares no code with nodeguard: TLS by `ssl`, certificates and
PKCS#7 by `cryptography`. It can be told to misbehave in every way that a test wants.

    est_authority.py FOLDER PORT

FOLDER gets `root.pem`, `pin`, `requests` (one JSON object a line) and holds `settings.json`, read at each request:

    token        the join token that is accepted
    spent        true: the token was used before
    cacerts      ok, pretender, garbage, gone
    mode, modes  what an enrolment is answered with, for all labels and by label: see `MISBEHAVIOUR` and `issue`
    attributes   by label, the csrattrs answer: base64 text, or a status as a number; without it 204
    lifetime     of a certificate, in seconds
    ahead        seconds that a certificate begins in the future
    retry_after  the value of that header, with pending, busy and throttled; null: none
    date_offset  seconds that the Date header is wrong by
    root_name    read at the start: another name gives the same root key another certificate, and it another issuer
"""
import base64, datetime, hashlib, http.server, ipaddress, json, os, socketserver, ssl, sys, threading, time
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID, ExtendedKeyUsageOID

folder = sys.argv[1]
UTC = datetime.timezone.utc
CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"


def now():
    return datetime.datetime.now(UTC)


def settings():
    with open(folder + "/settings.json") as file:
        return json.load(file)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def authority(text, issuer=None, signer=None, path=None, days=30, key=None):
    """A key and a certificate; `days` may be negative: it ended so long ago."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = name(text)
    public = (signer or key).public_key()
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now() - datetime.timedelta(days=60)).not_valid_after(now() + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(True, path), True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False))
    return key, builder.sign(signer or key, hashes.SHA256())


def kept_key(path):
    """Keys outlive a restart of this program."""
    try:
        with open(f"{folder}/{path}", "rb") as file:
            return serialization.load_pem_private_key(file.read(), None)
    except FileNotFoundError:
        key = ec.generate_private_key(ec.SECP256R1())
        with open(f"{folder}/{path}", "wb") as file:
            file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption()))
        return key


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


root_name = settings().get("root_name", "Root")
root_key, root = authority(root_name, key=kept_key("ca-root.pem"))
issuing_key, issuing = authority("Issuing", root, root_key, 0, key=kept_key(f"ca-issuing-{root_name}.pem"))
# Names itself as its issuer, but somebody else signed it: no root at all.
_, pretender = authority("Root", None, ec.generate_private_key(ec.SECP256R1()))
# Of somebody else, which a plane that was broken into might use.
rogue_root_key, rogue_root = authority("Rogue Root")
rogue_key, rogue = authority("Rogue", rogue_root, rogue_root_key, 0)
# Its own time is over.
ended_key, ended = authority("Ended", root, root_key, 0, days=-1)


def issue(public, subject, names, usages, ca=False, seconds=3600, ahead=0, by=(issuing_key, issuing), begun=5):
    key, issuer = by
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject).public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() + datetime.timedelta(seconds=ahead - begun))
        .not_valid_after(now() + datetime.timedelta(seconds=seconds))
        .add_extension(x509.BasicConstraints(ca, None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
        .add_extension(x509.KeyUsage(True, False, False, False, False, ca, False, False, False), True))
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.sign(key, hashes.SHA256())


def indefinite(encoded, depth=3):
    """The same in BER: indefinite lengths in the outermost constructed values, as some servers write them."""
    out, index = b"", 0
    while index < len(encoded):
        tag, start, length = encoded[index], index, encoded[index + 1]
        index += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(encoded[index:index + count], "big")
            index += count
        content = encoded[index:index + length]
        index += length
        if tag & 0x20 and depth >= 0:
            out += bytes([tag, 0x80]) + indefinite(content, depth - 1) + b"\0\0"
        else:
            out += encoded[start:index]
    return out


def bag(certificates):
    return pkcs7.serialize_certificates(certificates, serialization.Encoding.DER)


def write_own():
    own_key = ec.generate_private_key(ec.SECP256R1())
    own = issue(own_key.public_key(), name("plane"),
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))],
        [ExtendedKeyUsageOID.SERVER_AUTH], seconds=86400)
    with open(folder + "/own.pem", "wb") as file:
        file.write(own_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()) + pem(own) + pem(issuing))
    with open(folder + "/root.pem", "wb") as file:
        file.write(pem(root))
    # Clients may still have a certificate from before a restart.
    with open(folder + "/clients.pem", "ab") as file:
        file.write(pem(root))
    spki = root.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    with open(folder + "/pin", "w") as file:
        file.write("sha256:" + hashlib.sha256(spki).hexdigest())


spent = {}
noting = threading.Lock()
# The last good answer for each label, for one that repeats it.
answered = {}


def record(entry):
    with noting, open(folder + "/requests", "a") as file:
        file.write(json.dumps(entry) + "\n")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        self.request.do_handshake()
        super().setup()

    def date_time_string(self, timestamp=None):
        return super().date_time_string(time.time() + settings().get("date_offset", 0))

    def log_message(self, *words):
        pass

    def peer(self):
        found = self.request.getpeercert(True)
        return x509.load_der_x509_certificate(found) if found else None

    def note(self, **more):
        peer = self.peer()
        record({"path": self.path.partition("?")[0], "hasPassword": "Authorization" in self.headers,
            "user": self.credentials()[0],
            "client": format(peer.serial_number, "X") if peer else None, **more})

    def reply(self, status, body=b"", type=CERTS_ONLY, **headers):
        self.send_response(status)
        if type:
            self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, reason, detail="no", **headers):
        self.reply(status, json.dumps({"reason": reason, "detail": detail}).encode(), "application/json", **headers)

    def later(self, choice):
        value = choice.get("retry_after", "1")
        return {} if value is None else {"Retry_After": value}

    def do_GET(self):
        self.note()
        choice = settings()
        if self.path.endswith("/csrattrs"):
            return self.attributes(choice.get("attributes", {}).get(self.path.split("/")[3]))
        mode = choice.get("cacerts", "ok")
        if mode == "garbage":
            return self.reply(200, b"@@@")
        if mode == "gone":
            return self.refuse(404, "label-unknown")
        certificates = [issuing, root, pretender, rogue_root, rogue] if mode == "pretender" else [issuing, root]
        self.reply(200, base64.b64encode(bag(certificates)))

    def attributes(self, wanted):
        if wanted in (None, 204):
            return self.reply(204, type=None)
        if isinstance(wanted, int):
            return self.refuse(wanted, "no-attributes")
        self.reply(200, wanted.encode(), "application/csrattrs", Content_Transfer_Encoding="base64")

    def do_POST(self):
        body = base64.b64decode(self.rfile.read(int(self.headers["Content-Length"])))
        request = x509.load_der_x509_csr(body)
        spki = request.public_key().public_bytes(serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
        key = hashlib.sha256(spki).hexdigest()
        kind = getattr(getattr(request.public_key(), "curve", None), "name", "rsa")
        self.note(key=key, request=hashlib.sha256(body).hexdigest(), valid=request.is_signature_valid, kind=kind,
            digest=request.signature_hash_algorithm.name,
            subject=request.subject.rfc4514_string(),
            extensions=[wish.oid.dotted_string for wish in request.extensions])
        choice = settings()
        label = self.path.split("/")[3]
        mode = choice.get("modes", {}).get(label, choice.get("mode", "ok"))
        if mode == "redirect-here" and self.path.endswith("?moved=2"):
            mode = "ok"
        misbehaviour = MISBEHAVIOUR.get(mode)
        if misbehaviour:
            return misbehaviour(self, choice)
        if mode.startswith("status-"):
            return self.refuse(int(mode[7:]), "told-to", **self.later(choice))
        self.enrol(choice, request, key, label, mode)

    def credentials(self):
        """User and password; None where there are none."""
        if "Authorization" not in self.headers:
            return None, None
        user, _, password = base64.b64decode(self.headers["Authorization"].split()[1]).decode().partition(":")
        return user, password

    def enrol(self, choice, request, key, label, mode):
        password = self.credentials()[1]
        if self.peer() is None:
            if password is None or password != choice.get("token", "secret-token"):
                return self.refuse(401, "token-unknown", "this join token is not known")
            if spent.setdefault(password, key) != key or choice.get("spent"):
                return self.refuse(401, "token-spent", "this join token was used before")
        if mode == "replayed" and label in answered:
            return self.reply(200, base64.encodebytes(bag(answered[label])))
        certificates = self.certificates(choice, request, mode)
        if mode == "lost":
            # Issued, and the connection breaks before the answer.
            self.close_connection = True
            return self.request.shutdown(2)
        answered.setdefault(label, certificates)
        self.deliver(certificates, mode)

    def certificates(self, choice, request, mode):
        public, names, usages, options = request.public_key(), [], [], {}
        for wish in request.extensions:
            if isinstance(wish.value, x509.SubjectAlternativeName):
                names = list(wish.value)
            if isinstance(wish.value, x509.ExtendedKeyUsage):
                usages = list(wish.value)
        if mode == "other-key":
            public = ec.generate_private_key(ec.SECP256R1()).public_key()
        if mode == "extra-name":
            names = names + [x509.DNSName("postgres.example")]
        if mode == "no-names":
            names = []
        if mode == "no-usage":
            usages = []
        if mode == "foreign-usage":
            usages = usages + [ExtendedKeyUsageOID.CODE_SIGNING]
        chain = [issuing]
        if mode == "wrong-authority":
            options, chain = {"by": (rogue_key, rogue)}, [rogue, rogue_root]
        if mode == "expired-chain":
            options, chain = {"by": (ended_key, ended)}, [ended]
        if mode == "extra-chain":
            chain = [rogue, issuing, root, rogue_root, pretender]
        if mode == "old":
            # Most of its life is over when it arrives.
            options = {"begun": 30 * 86400}
        certificate = issue(public, request.subject, names, usages, ca=mode == "authority",
            seconds=-1 if mode == "expired" else choice.get("lifetime", 3600), ahead=choice.get("ahead", 0), **options)
        return chain[:1] + [certificate] + chain[1:] if mode == "extra-chain" else [certificate] + chain

    def deliver(self, certificates, mode):
        encoded = bag(certificates)
        if mode == "ber":
            return self.reply(200, base64.b64encode(indefinite(encoded)))
        answer = base64.encodebytes(encoded)
        if mode == "spaced":
            return self.reply(200, b"\r\n" + b" \t\r\n".join(bytes([byte]) for byte in base64.b64encode(encoded)))
        if mode == "no-type":
            return self.reply(200, answer, None)
        if mode == "armoured":
            return self.reply(200, b"-----BEGIN PKCS7-----\n" + answer + b"-----END PKCS7-----\n")
        if mode == "private-key":
            return self.reply(200, answer, "application/pkcs7-mime; smime-type=server-generated-key")
        if mode == "chunked":
            return self.chunked(answer)
        if mode in ("drip", "slow-drip"):
            return self.drip(answer, 0.001 if mode == "drip" else 0.5)
        self.reply(200, answer)

    def chunked(self, answer):
        self.send_response(200)
        self.send_header("CONTENT-TYPE", "Application/PKCS7-MIME ; SMIME-TYPE=Certs-Only")
        self.send_header("TRANSFER-ENCODING", "chunked")
        self.end_headers()
        for start in range(0, len(answer), 100):
            part = answer[start:start + 100]
            self.wfile.write(b"%x\r\n" % len(part) + part + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def drip(self, answer, pause):
        self.send_response(200)
        self.send_header("Content-Type", "application/pkcs7-mime")
        self.end_headers()
        self.close_connection = True
        for byte in answer:
            self.wfile.write(bytes([byte]))
            time.sleep(pause)

    def endless(self, choice):
        """Ten gibibytes, or as many as the client takes."""
        self.send_response(200)
        self.send_header("Content-Type", CERTS_ONLY)
        self.send_header("Content-Length", str(10 << 30))
        self.end_headers()
        self.close_connection = True
        sent, block = 0, b"A" * (1 << 16)
        try:
            while sent < 10 << 30:
                self.wfile.write(block)
                sent += len(block)
        finally:
            record({"path": "sent", "hasPassword": False, "sent": sent})

    def redirect(self, choice, location):
        self.reply(choice.get("redirect_status", 307), type=None, Location=location)

    def redirect_here(self, choice):
        """Twice within this origin, with a relative and then an absolute address."""
        path, _, query = self.path.partition("?")
        port = self.server.server_address[1]
        self.redirect(choice, f"https://127.0.0.1:{port}{path}?moved=2" if query else f"{path}?moved=1")


def busy(handler, choice):
    handler.refuse(503, "unavailable", "later", **handler.later(choice))


def held(handler, choice):
    """Refuses the token, but only once it is told something else."""
    while "held" in settings().get("modes", {}).values():
        time.sleep(0.02)
    handler.refuse(401, "token-spent", "this join token was used before")


MISBEHAVIOUR = {
    "held": held,
    "denied": lambda handler, choice: handler.refuse(403, "role-not-allowed", "may not be certified"),
    "echo": lambda handler, choice: handler.refuse(401, "strange", "you sent " + (handler.credentials()[1] or "nothing")),
    "busy": busy,
    "pending": lambda handler, choice: handler.reply(202, b"", "text/plain", **handler.later(choice)),
    "garbage": lambda handler, choice: handler.reply(200, base64.b64encode(os.urandom(200))),
    "noise": lambda handler, choice: handler.reply(200, os.urandom(200)),
    "empty": lambda handler, choice: handler.reply(200, b""),
    "der": lambda handler, choice: handler.reply(200, der(issuing)),
    "der-bag": lambda handler, choice: handler.reply(200, bag([issuing])),
    "html": lambda handler, choice: handler.reply(200, b"<html>hello</html>", "text/html"),
    "words": lambda handler, choice: handler.reply(400, b"the\nsubject is \x1b[2Jnot allowed", "text/plain"),
    "problem": lambda handler, choice: handler.reply(400,
        json.dumps({"title": "Bad request", "detail": "the key is weak"}).encode(), "application/problem+json"),
    "endless": Handler.endless,
    "redirect-here": Handler.redirect_here,
    "redirect-loop": lambda handler, choice: handler.redirect(choice, handler.path),
    "redirect-away": lambda handler, choice: handler.redirect(choice, "https://127.0.0.1:1" + handler.path),
    "redirect-plain": lambda handler, choice: handler.redirect(choice,
        f"http://127.0.0.1:{handler.server.server_address[1]}{handler.path}"),
    "redirect-nowhere": lambda handler, choice: handler.reply(307, type=None),
}


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        pass


write_own()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/own.pem")
context.load_verify_locations(folder + "/clients.pem")
context.verify_mode = ssl.CERT_OPTIONAL
server = Server(("127.0.0.1", int(sys.argv[2])), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(f"listening {server.server_address[1]}", flush=True)
server.serve_forever()
