/// The source of an EST server in Python: another TLS stack's wrapper, another X.509 and PKCS#7 codec, and every
/// misbehaviour that a test may ask for. Settings are read from a file at each request; each request is logged.
let pythonESTServer = #"""
    import base64, datetime, hashlib, http.server, ipaddress, json, os, socketserver, ssl, sys, time
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import pkcs7
    from cryptography.x509.oid import NameOID, ExtendedKeyUsageOID

    folder = sys.argv[1]
    UTC = datetime.timezone.utc

    def now():
        return datetime.datetime.now(UTC)

    def settings():
        with open(folder + "/settings.json") as file:
            return json.load(file)

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def authority(text, issuer=None, signer=None, path=None):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = name(text)
        public = (signer or key).public_key()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now() - datetime.timedelta(hours=1)).not_valid_after(now() + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(True, path), True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False))
        return key, builder.sign(signer or key, hashes.SHA256())

    root_key, root = authority("Root")
    issuing_key, issuing = authority("Issuing", root, root_key, 0)
    # Names itself as its issuer, but somebody else signed it: no root at all.
    stranger_key = ec.generate_private_key(ec.SECP256R1())
    _, pretender = authority("Root", None, stranger_key)

    # An intermediate of somebody else, which a plane that was broken into might hand out.
    rogue_root_key, rogue_root = authority("Rogue Root")
    _, rogue = authority("Rogue", rogue_root, rogue_root_key, 0)

    def issue(public, subject, names, usages, ca=False, seconds=3600, ahead=0):
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuing.subject).public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() + datetime.timedelta(seconds=ahead - 5))
            .not_valid_after(now() + datetime.timedelta(seconds=seconds))
            .add_extension(x509.BasicConstraints(ca, None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing_key.public_key()), False)
            .add_extension(x509.KeyUsage(True, False, False, False, False, ca, False, False, False), True))
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return builder.sign(issuing_key, hashes.SHA256())

    def pem(certificate):
        return certificate.public_bytes(serialization.Encoding.PEM)

    own_key = ec.generate_private_key(ec.SECP256R1())
    own = issue(own_key.public_key(), name("plane"),
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))],
        [ExtendedKeyUsageOID.SERVER_AUTH], seconds=86400)
    with open(folder + "/own.pem", "wb") as file:
        file.write(own_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()) + pem(own) + pem(issuing))
    with open(folder + "/root.pem", "wb") as file:
        file.write(pem(root))
    spki = root.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    with open(folder + "/pin", "w") as file:
        file.write("sha256:" + hashlib.sha256(spki).hexdigest())

    spent = {}

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
            der = self.request.getpeercert(True)
            return x509.load_der_x509_certificate(der) if der else None

        def note(self, **more):
            peer = self.peer()
            entry = {"path": self.path, "hasPassword": "Authorization" in self.headers,
                "client": format(peer.serial_number, "X") if peer else None, **more}
            with open(folder + "/requests", "a") as file:
                file.write(json.dumps(entry) + "\n")

        def reply(self, status, body=b"", type="application/pkcs7-mime; smime-type=certs-only", **headers):
            self.send_response(status)
            self.send_header("Content-Type", type)
            self.send_header("Content-Length", str(len(body)))
            for key, value in headers.items():
                self.send_header(key.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def bag(self, certificates, wrap=True):
            der = pkcs7.serialize_certificates(certificates, serialization.Encoding.DER)
            return base64.encodebytes(der) if wrap else base64.b64encode(der)

        def refuse(self, status, reason, detail="no", **headers):
            self.reply(status, json.dumps({"reason": reason, "detail": detail}).encode(), "application/json", **headers)

        def do_GET(self):
            self.note()
            mode = settings().get("cacerts", "ok")
            if mode == "garbage":
                return self.reply(200, b"@@@")
            if mode == "gone":
                return self.refuse(404, "label-unknown")
            certificates = [issuing, root, pretender, rogue_root, rogue] if mode == "pretender" else [issuing, root]
            self.reply(200, self.bag(certificates, wrap=False))

        def do_POST(self):
            body = base64.b64decode(self.rfile.read(int(self.headers["Content-Length"])))
            request = x509.load_der_x509_csr(body)
            spki = request.public_key().public_bytes(serialization.Encoding.DER,
                serialization.PublicFormat.SubjectPublicKeyInfo)
            self.note(key=hashlib.sha256(spki).hexdigest(), valid=request.is_signature_valid)
            self.act(settings(), request, hashlib.sha256(spki).hexdigest())

        def act(self, choice, request, key):
            label = self.path.split("/")[3]
            mode = choice.get("modes", {}).get(label, choice.get("mode", "ok"))
            password = None
            if "Authorization" in self.headers:
                password = base64.b64decode(self.headers["Authorization"].split()[1]).decode().partition(":")[2]
            if mode == "denied":
                return self.refuse(403, "role-not-allowed", "may not be certified")
            if mode == "echo":
                return self.refuse(401, "strange", "you sent " + (password or "nothing"))
            if mode == "busy":
                return self.refuse(503, "unavailable", "later", Retry_After="1")
            if mode == "pending":
                return self.reply(202, b"", "text/plain", Retry_After="1")
            if mode == "garbage":
                return self.reply(200, base64.b64encode(os.urandom(200)))
            if mode == "der":
                return self.reply(200, issuing.public_bytes(serialization.Encoding.DER))
            if mode == "html":
                return self.reply(200, b"<html>hello</html>", "text/html")
            if mode == "huge":
                return self.reply(200, b"A" * (10 << 20))
            if mode == "redirect":
                return self.reply(307, b"", "text/plain", Location="https://127.0.0.1:1/")
            if self.peer() is None:
                if password is None or password != choice.get("token", "secret-token"):
                    return self.refuse(401, "token-unknown", "this join token is not known")
                if spent.setdefault(password, key) != key or choice.get("spent"):
                    return self.refuse(401, "token-spent", "this join token was used before")
            self.issue(choice, request, mode)

        def issue(self, choice, request, mode):
            public = request.public_key()
            names, usages = [], []
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
            certificate = issue(public, request.subject, names, usages, ca=mode == "authority",
                seconds=-1 if mode == "expired" else choice.get("lifetime", 3600), ahead=choice.get("ahead", 0))
            if mode == "lost":
                # Issued, and the connection breaks before the answer.
                self.close_connection = True
                return self.request.shutdown(2)
            answer = self.bag([certificate, issuing])
            if mode == "drip":
                self.send_response(200)
                self.send_header("Content-Type", "application/pkcs7-mime")
                self.end_headers()
                for byte in answer:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.001)
                self.close_connection = True
                return
            self.reply(200, answer)

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True

        def handle_error(self, request, address):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder + "/own.pem")
    context.load_verify_locations(folder + "/root.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    server = Server(("127.0.0.1", int(sys.argv[2])), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(f"listening {server.server_address[1]}", flush=True)
    server.serve_forever()
    """#
