import Glibc
import HTTP
import IO
import OpenSSL
import TestSupport
import Testing

/// A real HTTPS server: Python's `ssl` in a process of its own. It logs each connection and each request.
final class TestServer: Sendable {
    enum ClientCertificate: String { case ignored, wanted, required }

    static let authority = Result { try TestAuthority(name: "HTTP") }
    static let foreignAuthority = Result { try TestAuthority(name: "Foreign") }

    /// For the whole test process: every test passes only if the environment's proxies are ignored.
    private static let brokenProxies: Void = {
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
            setenv(name, "http://127.0.0.1:1", 1)
        }
    }()

    let port: String
    private let process: Subprocess
    private let folder: TemporaryDirectory

    init(
        _ identity: TestIdentity? = nil, clients: ClientCertificate = .ignored, trusting: TestAuthority? = nil,
        version: String = "TLSv1_3"
    ) async throws {
        Self.brokenProxies
        let authority = try Self.authority.get()
        let identity = try identity ?? authority.server()
        folder = try temporaryDirectory()
        let script = try folder.write(Self.script, to: "server.py")
        process = try Subprocess(
            "python3",
            [
                "-u", script, identity.chainPath, identity.keyPath, clients.rawValue,
                (trusting ?? authority).trustPath, version,
            ])
        try await process.waitForLine(containing: "listening", within: 60)
        let line = process.output.split(separator: "\n").first { $0.hasPrefix("listening ") }
        port = String(try #require(line).dropFirst("listening ".count))
    }

    func url(_ path: String, host: String = "127.0.0.1") -> String { "https://\(host):\(port)\(path)" }

    /// `connection client method path authorization`, in the order in which they came.
    var requests: [[String]] { lines("request ") }
    /// Those that reached the end of the server's handshake.
    var connections: [[String]] { lines("connection ") }

    private func lines(_ prefix: String) -> [[String]] {
        process.output.split(separator: "\n").filter { $0.hasPrefix(prefix) }.map { line in
            line.dropFirst(prefix.count).split(separator: " ").map(String.init)
        }
    }

    private static let script = """
        import http, socket, ssl, sys, threading
        chain, key, clients, trust, version = sys.argv[1:]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if version == "TLSv1_1":
            context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        context.load_cert_chain(chain, key)
        if clients != "ignored":
            context.verify_mode = ssl.CERT_REQUIRED if clients == "required" else ssl.CERT_OPTIONAL
            context.load_verify_locations(trust)
        pause = threading.Event()
        lock = threading.Lock()

        def log(*words):
            with lock:
                sys.stdout.write(" ".join(map(str, words)) + "\\n")

        def answer(stream, status, body, extra="", length=True):
            head = f"HTTP/1.1 {status} X\\r\\n" + extra
            if length:
                head += f"Content-Length: {len(body)}\\r\\n"
            stream.sendall(head.encode() + b"\\r\\n" + body)

        def serve(stream, path, text, body):
            name, _, number = path[1:].partition("/")
            count = int(number) if number.isdigit() else 0
            if name == "echo":
                answer(stream, 200, text.encode() + b"\\r\\n\\r\\n" + body, "X-Kind:  one two \\r\\nx-EMPTY:\\r\\n")
            elif name == "status":
                answer(stream, count, b"words", "Location: /echo\\r\\n")
            elif name == "big":
                answer(stream, 200, b"x" * count)
            elif name == "chunked":
                stream.sendall(b"HTTP/1.1 200 X\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")
                for start in range(0, count, 100):
                    part = min(100, count - start)
                    stream.sendall(b"%x\\r\\n" % part + b"x" * part + b"\\r\\n")
                stream.sendall(b"0\\r\\n\\r\\n")
            elif name == "headers":
                answer(stream, 200, b"", "X-Long: " + "x" * count + "\\r\\n")
            elif name == "cut":
                answer(stream, 200, b"half", "Content-Length: 8\\r\\n", length=False)
                return False
            elif name == "garbage":
                stream.sendall(b"\\x00\\x01 no HTTP at all\\r\\n\\r\\n")
                return False
            elif name == "drip":
                stream.sendall(b"HTTP/1.1 200 X\\r\\nContent-Length: 100000\\r\\n\\r\\n")
                while True:
                    stream.sendall(b"x")
                    pause.wait(0.05)
            elif name == "later":
                pause.wait(count / 1000)
                answer(stream, 200, b"late")
            elif name == "silent":
                pause.wait(600)
            return name != "close"

        def connection(raw, number):
            stream = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            with stream:
                try:
                    stream.do_handshake()
                except ssl.SSLError:
                    # Reads on to the end: a reset could overtake the alert.
                    with socket.socket(fileno=stream.detach()) as plain:
                        plain.shutdown(socket.SHUT_WR)
                        while plain.recv(4096):
                            pass
                    raise
                peer = stream.getpeercert() or {}
                names = [v for part in peer.get("subject", ()) for k, v in part if k == "commonName"]
                client = names[0] if names else "-"
                log("connection", number, client)
                reader = stream.makefile("rb")
                while True:
                    text = reader.readline().decode()
                    if not text:
                        return
                    while not text.endswith("\\r\\n\\r\\n"):
                        text += reader.readline().decode()
                    lines = text[:-4].split("\\r\\n")
                    fields = {l.split(":", 1)[0].lower(): l.split(":", 1)[1].strip() for l in lines[1:]}
                    body = reader.read(int(fields.get("content-length", 0)))
                    method, path, _ = lines[0].split(" ")
                    secret = fields.get("authorization", "-").replace(" ", ":")
                    log("request", number, client, method, path, secret)
                    if not serve(stream, path, text[:-4], body):
                        return

        def run(raw, number):
            try:
                connection(raw, number)
            except (OSError, ValueError) as error:
                log("failed", number, error)

        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        log("listening", listener.getsockname()[1])
        number = 0
        while True:
            raw, _ = listener.accept()
            number += 1
            threading.Thread(target=run, args=(raw, number), daemon=True).start()

        """
}

/// A client on a lane of its own.
func makeClient(_ trust: ClientTrust, _ identity: TLSIdentity? = nil) -> HTTPClient {
    HTTPClient(lane: Lane(label: "http"), trust: trust, identity: identity)
}

/// A client that trusts the tests' authority; closed when `body` ends.
func withClient<Result>(
    _ trust: ClientTrust? = nil, _ identity: TLSIdentity? = nil, _ body: (HTTPClient) async throws -> Result
) async throws -> Result {
    let client = makeClient(try trust ?? .anchors(TestServer.authority.get().trust()), identity)
    do {
        let result = try await body(client)
        await client.close()
        return result
    } catch {
        await client.close()
        throw error
    }
}

/// The kind of the error that sending throws; nil when there is an answer.
func failure(_ client: HTTPClient, _ request: HTTPRequest) async -> HTTPError.Kind? {
    await error(client, request)?.kind
}

func error(_ client: HTTPClient, _ request: HTTPRequest) async -> HTTPError? {
    do throws(HTTPError) {
        _ = try await client.send(request)
        return nil
    } catch {
        return error
    }
}
