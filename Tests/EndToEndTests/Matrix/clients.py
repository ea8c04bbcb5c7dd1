"""Clients of three TLS stacks, each of which shows a certificate and says one thing."""
import os
import socket
import ssl
import struct
import subprocess
import threading
import warnings

# Old key sizes and signatures are what some cases are about.
warnings.simplefilter("ignore")
PATIENCE = 10


def first_words(protocol, word):
    """What a client of this protocol says first, with the word within."""
    if protocol == "postgres":
        body = struct.pack(">I", 196608) + b"user\0" + word + b"\0\0"
        return struct.pack(">I", len(body) + 4) + body
    if protocol == "redis":
        return b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(word), word)
    if protocol == "cassandra":
        return struct.pack(">BBhBI", 4, 0, 1, 5, len(word)) + word
    return word


class PythonClient:
    """In this process."""
    title = "python"

    def speaks(self, protocol):
        return True

    def connect(self, place, protocol, version, files, words):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, f"TLSv1_{version}")
        context.set_ciphers("ALL:@SECLEVEL=0")
        if files:
            try:
                context.load_cert_chain(*files)
            except ssl.SSLError:
                return False
        with socket.create_connection(place, timeout=PATIENCE) as connection:
            try:
                if protocol == "postgres":
                    connection.sendall(struct.pack(">II", 8, 80877103))
                    connection.recv(1)
                with context.wrap_socket(connection) as secure:
                    secure.sendall(words)
                    while secure.recv(4096):
                        pass
            except OSError:
                pass
        return True


class ProgramClient:
    """A program that is a client, on pipes; it ends when the node does."""

    def speaks(self, protocol):
        return True

    def run(self, arguments, words):
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as process:
            stop = threading.Timer(PATIENCE, process.kill)
            stop.start()
            try:
                process.stdin.write(words)
                process.stdin.flush()
            except BrokenPipeError:
                pass
            said = process.stdout.read()
            stop.cancel()
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass
        return said


class OpenSSLClient(ProgramClient):
    title = "openssl"

    def connect(self, place, protocol, version, files, words):
        arguments = ["openssl", "s_client", "-connect", f"{place[0]}:{place[1]}", f"-tls1_{version}", "-quiet",
                     "-noservername", "-cipher", "ALL:@SECLEVEL=0"]
        if protocol == "postgres":
            arguments += ["-starttls", "postgres"]
        if files:
            arguments += ["-cert", files[0], "-key", files[1]]
            if os.path.exists(files[0] + ".above"):
                arguments += ["-cert_chain", files[0] + ".above"]
        said = self.run(arguments, words)
        return b"unable to load" not in said and b"Could not read" not in said and b"error setting" not in said


class GnuTLSClient(ProgramClient):
    title = "gnutls"

    def speaks(self, protocol):
        return protocol != "postgres"

    def connect(self, place, protocol, version, files, words):
        arguments = ["gnutls-cli", "--no-ca-verification", "--disable-sni", "-p", str(place[1]), place[0], "--priority",
                     f"NORMAL:-VERS-ALL:+VERS-TLS1.{version}:%VERIFY_ALLOW_BROKEN:+SIGN-ALL"]
        if files:
            arguments += ["--x509certfile", files[0], "--x509keyfile", files[1]]
        said = self.run(arguments, words)
        return b"Error setting" not in said and b"error loading" not in said.lower() and b"*** Error" not in said
