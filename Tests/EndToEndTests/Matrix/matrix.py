"""Drives a real nodeguard with clients of three TLS stacks: matrix.py NODEGUARD FOLDER.

Each client sends a word of its own. It is accepted when that word arrives at the backend; it is refused when the
backend saw neither a connection nor a byte, and when the listener counted one refusal, for the expected reason.
"""
import collections
import os
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases  # noqa: E402
from clients import PATIENCE, GnuTLSClient, OpenSSLClient, PythonClient, first_words  # noqa: E402
from certificates import pem, private_pem  # noqa: E402


class Backend:
    """Keeps every byte that arrives, answers the first, and ends."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.seen, self.connections = b"", 0
        self.news = threading.Condition()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            with self.news:
                self.connections += 1
            threading.Thread(target=self.answer, args=[connection], daemon=True).start()

    def answer(self, connection):
        with connection:
            try:
                data = connection.recv(65536)
                with self.news:
                    self.seen += data
                    self.news.notify_all()
                connection.sendall(data)
            except OSError:
                pass


class Node:
    def __init__(self, program, address, folder, backend, lists):
        self.address, self.folder, self.listeners = address, folder, {}
        files = {"root.pem": pem("CERTIFICATE", cases.ROOT.der), "server.pem": pem("CERTIFICATE", cases.SERVER.der),
                 "server.key": private_pem(cases.SERVER.key)}
        for listener, root in cases.TRUSTED.items():
            files[f"{listener}.pem"] = pem("CERTIFICATE", root.der)
        for listener, all_lists in lists.items():
            for number, each in enumerate(all_lists):
                files[f"{listener}-{number}.crl"] = pem("X509 CRL", each)
        for path, text in files.items():
            with open(f"{folder}/{path}", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(text)
        protocols = {"gate": "tcp", "postgres": "postgres", "redis": "redis", "cassandra": "cassandra"}
        self.places = []
        text = "".join(
            self.listener(each, protocols.get(each, "tcp"), backend.port, len(lists.get(each, ())))
            for each in [*protocols, *lists, *cases.TRUSTED])
        for place in self.places:
            place.close()
        os.mkdir(folder + "/node", 0o700)
        with open(folder + "/nodeguard.yaml", "w") as file:
            file.write(CONFIGURATION.format(folder=folder, listeners=text))
        self.log = open(folder + "/nodeguard.log", "wb")
        self.process = subprocess.Popen(
            ["env", "--default-signal", program, "run", "--config", folder + "/nodeguard.yaml"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def listener(self, title, protocol, backend, list_count):
        # Held until all have one: the kernel may give a port that is free again to the next.
        self.places.append(socket.create_server((self.address, 0)))
        place = self.places[-1].getsockname()
        self.listeners[title] = place, protocol
        text = LISTENER.format(
            title=title, address=self.address, port=place[1], protocol=protocol, backend=backend, folder=self.folder,
            trust=title if title in cases.TRUSTED else "root")
        if list_count:
            paths = ", ".join(f'"file:{self.folder}/{title}-{number}.crl"' for number in range(list_count))
            text += f"      crl: [{paths}]\n      crl-check: chain\n"
        return text

    def ask(self, path):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(self.folder + "/status.sock")
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            return answer.decode()

    def wait(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection(self.listeners["fresh"][0], timeout=1):
                    if "nodeguard_proxy" in self.ask("/metrics"):
                        return
            except OSError:
                threading.Event().wait(0.05)
        with open(self.folder + "/nodeguard.log") as log:
            raise RuntimeError("nodeguard did not start:\n" + log.read())

    def refusals(self, listener):
        found = collections.Counter()
        for line in self.ask("/metrics").splitlines():
            if line.startswith("nodeguard_proxy_connections_refused_total{") and f'listener="{listener}"' in line:
                labels, value = line.rsplit(" ", 1)
                found[labels.split('reason="')[1].split('"')[0]] += int(float(value))
        # The one that looked whether the node listens.
        del found["probe"]
        return found


CONFIGURATION = """\
node: {{ name: db-1, cluster: cluster-a, state: {folder}/node }}
certificates:
  roles: [ {{ name: own, files: {{ chain: {folder}/server.pem, key: {folder}/server.key }} }} ]
proxy:
  limits: {{ handshakes-per-second: 100000, per-address: {{ rate: 100000/s }} }}
  listeners:
{listeners}status: {{ socket: {folder}/status.sock, control: {folder}/control.sock, stream: {folder}/stream.sock }}
"""
LISTENER = """\
    - name: {title}
      listen: ["{address}:{port}"]
      protocol: {protocol}
      backend: 127.0.0.1:{backend}
      certificate: own
      trust: ["file:{folder}/{trust}.pem"]
      allow:
        - common-name: good
        - uri: "spiffe://cluster-a/app/*"
        - dns: app.cluster-a.example
        - email: app@cluster-a.example
        - ip: 192.0.2.10
      deny: [ {{ dns: denied.example }} ]
"""


class Matrix(threading.Thread):
    """All cases with one client, before a node and a backend of its own."""

    def __init__(self, client, program, address, folder, lists, table):
        super().__init__(daemon=True)
        os.mkdir(folder)
        self.client, self.table, self.folder = client, table, folder
        self.backend = Backend()
        self.node = Node(program, address, folder, self.backend, lists)
        self.failures, self.counts, self.loose = [], collections.Counter(), collections.defaultdict(set)
        # What each listener has counted so far: whatever comes late shows in the next case.
        self.known = collections.defaultdict(collections.Counter)
        self.is_whole = False

    def run(self):
        try:
            self.node.wait()
            for number, case in enumerate(self.table):
                if self.client.speaks(self.node.listeners[case.listener][1]):
                    for version in (2, 3):
                        self.try_one(number, case, version)
            self.is_whole = True
        finally:
            self.node.process.terminate()
            self.node.process.wait()

    def files(self, number, case):
        if not case.chain:
            return None
        path = f"{self.folder}/case-{number}"
        blocks = [pem("CERTIFICATE", each.der) for each in case.chain]
        for name, text in ((".pem", "".join(blocks)), (".key", private_pem(case.chain[0].key)),
                           (".pem.above", "".join(blocks[1:]))):
            if text:
                with open(path + name, "w") as file:
                    file.write(text)
        return path + ".pem", path + ".key"

    def try_one(self, number, case, version):
        client = self.client
        place, protocol = self.node.listeners[case.listener]
        word = f"word-{number}-{version}-{client.title}.\n".encode()
        before, connections = self.known[case.listener], self.backend.connections
        expected = case.expectation(client.title)
        expected = expected if isinstance(expected, tuple) else (expected,)
        seen = len(self.backend.seen)
        can = client.connect(place, protocol, version, self.files(number, case), first_words(protocol, word))
        outcome = self.outcome(case, word, before, can)
        if outcome != cases.OK and (self.backend.connections != connections or len(self.backend.seen) != seen):
            outcome = f"{outcome}, AND THE BACKEND SAW IT"
        self.counts["cannot" if outcome is None else "accepted" if outcome == cases.OK else "refused"] += 1
        if len(expected) > 1:
            self.loose[case.title].add((version, outcome))
        if outcome not in expected:
            self.failures.append((client.title, f"1.{version}", case.title, expected, outcome))

    def outcome(self, case, word, before, can):
        """The verdict is counted soon after the client has seen its end, perhaps not before."""
        deadline = time.monotonic() + (3 if can else 0.1)
        while True:
            if word[:-1] in self.backend.seen:
                return cases.OK
            now = self.node.refusals(case.listener)
            if told := now - before:
                self.known[case.listener] = now
                return ", ".join(sorted(told.elements()))
            if time.monotonic() > deadline:
                return "no verdict" if can else None
            with self.backend.news:
                self.backend.news.wait(0.01)


def main():
    program, folder = sys.argv[1:3]
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    start = time.monotonic()
    lists, table = cases.table()
    table = [case for case in table if only in case.title]
    clients = (PythonClient(), OpenSSLClient(), GnuTLSClient())
    # Addresses of their own: no connection that someone opens can take a listener's port before it is bound.
    runs = [Matrix(each, program, f"127.0.0.{number}", f"{folder}/{each.title}", lists, table)
            for number, each in enumerate(clients, 2)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    failures = [failure for each in runs for failure in each.failures]
    for client, version, title, expected, outcome in failures:
        print(f"{client:8} TLS {version}  {title}: {outcome}, expected {' or '.join(map(str, expected))}")
    counts = sum((each.counts for each in runs), collections.Counter())
    if os.environ.get("MATRIX_VERBOSE"):
        for each in runs:
            for title, outcomes in each.loose.items():
                print(f"{each.client.title:8} {title}: {sorted(outcomes, key=str)}")
    print(f"{len(table)} cases, {sum(counts.values())} connections: {dict(counts)}, "
          f"{len(failures)} wrong, {time.monotonic() - start:.1f} s")
    sys.exit(0 if not failures and all(each.is_whole for each in runs) else 1)


main()
