import IO
import OpenSSL
import PlaneClient
import TestSupport
import Testing

/// A plane that answers what it is told to: a real HTTPS server in a process of its own. For `POST /v1/keys` it makes a
/// key, and tells of it only disguised, so that the key is in the test's own memory only where the client has it.
final class PlaneDouble: Sendable {
    static let disguise: UInt8 = 0x5A

    let client: PlaneClient
    private let process: Subprocess
    private let folder: TemporaryDirectory
    private let authority: TestAuthority

    init() async throws {
        authority = try TestAuthority(name: "Plane")
        folder = try temporaryDirectory()
        let server = try authority.server()
        let script = try folder.write(Self.script, to: "plane.py")
        try folder.write([], to: "body")
        process = try Subprocess("python3", ["-u", script, server.chainPath, server.keyPath, folder.path])
        try await process.waitForLine(containing: "listening", within: 60)
        let line = process.output.split(separator: "\n").first { $0.hasPrefix("listening ") }
        let port = String(try #require(line).dropFirst("listening ".count))
        client = PlaneClient(url: "https://127.0.0.1:\(port)")
        let node = try authority.client(name: "db-1")
        await client.replaceCredentials(
            trust: try authority.trust(), identity: try TLSIdentity(chainFile: node.chainPEM, keyFile: node.keyPath))
    }

    /// The body of all further answers, and their status.
    func answer(_ body: [UInt8], status: Int = 200) throws {
        try folder.write("\(status)", to: "status")
        try folder.write(body, to: "body")
    }

    /// The key that was made last, and its base64, each byte disguised.
    func disguisedKey() throws -> (bytes: [UInt8], base64: [UInt8]) {
        (try folder.read("key"), try folder.read("base64"))
    }

    private static let script = """
        import base64, http.server, json, os, ssl, sys
        chain, key, folder = sys.argv[1:]

        def put(name, data):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(bytes(byte ^ 0x5A for byte in data))

        class Plane(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, body = 200, b""
                if self.path == "/v1/keys" or self.path.endswith("/unwrap"):
                    made = os.urandom(32)
                    text = base64.b64encode(made)
                    put("key", made)
                    put("base64", text)
                    body = json.dumps({"future": {"a": [1, "]"]}, "id": "bk-1", "kek": "kek-1",
                                       "key": text.decode(), "wrapped": "AAECAw=="}).encode()
                else:
                    status = int(open(os.path.join(folder, "status")).read())
                    body = open(os.path.join(folder, "body"), "rb").read()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *words):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plane)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        print(f"listening {server.server_port}")
        server.serve_forever()

        """
}
