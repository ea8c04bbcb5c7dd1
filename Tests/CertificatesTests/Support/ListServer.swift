import Foundation
import OpenSSL
import PlaneClient
import TestSupport

/// A plane that knows nothing but CRLs: a real HTTPS server in a process of its own, which may hold its answers back.
final class ListServer {
    let folder: TemporaryDirectory
    let authority: TestAuthority
    let plane: PlaneClient
    private let process: Subprocess

    init(waits: Bool = true) async throws {
        folder = try temporaryDirectory()
        authority = try TestAuthority()
        let own = try authority.server()
        let script = try folder.write(Self.script, to: "server.py")
        try folder.write("", to: "requests")
        try folder.write("200", to: "status")
        try folder.write(waits ? "yes" : "no", to: "waits")
        for name in ["lists", "tag"] { try folder.write("", to: name) }
        process = try Subprocess("python3", ["-u", script, own.chainPath, own.keyPath, folder.path])
        try await process.waitForLine(containing: "listening", within: 60)
        let line = process.output.split(separator: "\n").first { $0.hasPrefix("listening ") }
        plane = PlaneClient(url: "https://127.0.0.1:\(line?.dropFirst("listening ".count) ?? "0")")
        await plane.replaceCredentials(trust: try authority.trust(), identity: nil)
    }

    /// Its further answer; the tag last, at which those who wait are answered.
    func serve(_ lists: [UInt8], tag: String, status: Int = 200) throws {
        try folder.write("\(status)", to: "status")
        try folder.write(lists, to: "lists")
        try Data(tag.utf8).write(to: URL(fileURLWithPath: folder.file("tag")), options: .atomic)
    }

    func list(
        by issuer: TestIdentity? = nil, _ change: (inout TestRevocationList) -> Void = { _ in }
    ) throws -> [UInt8] {
        try TestRevocationList.der(ofPEM: try authority.revocationList(by: issuer, change))
    }

    func trust() throws -> TrustAnchors {
        try TrustAnchors(
            [authority.root.certificate(), authority.intermediate.certificate()], pinsIntermediates: true)
    }

    /// Headers of each question: the tag that was named, and what was preferred.
    var requests: [String] {
        String(decoding: (try? folder.read("requests")) ?? [], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    func stop() { process.signal(SIGKILL) }

    private static let script = #"""
        import http.server, os, ssl, sys, time
        chain, key, folder = sys.argv[1:]

        def read(name):
            with open(os.path.join(folder, name), "rb") as file:
                return file.read()

        class Plane(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                known, preference = self.headers.get("If-None-Match", "-"), self.headers.get("Prefer", "-")
                with open(os.path.join(folder, "requests"), "a") as file:
                    file.write(f"{self.path} {known} {preference}\n")
                waits = read("waits") == b"yes" and preference != "-"
                deadline = time.monotonic() + 10
                while waits and read("tag").decode() == known and time.monotonic() < deadline:
                    time.sleep(0.02)
                tag, body = read("tag").decode(), read("lists")
                isKnown = tag == known and tag
                self.send_response(304 if isKnown else int(read("status")))
                self.send_header("ETag", tag)
                if waits:
                    self.send_header("Preference-Applied", preference)
                self.send_header("Content-Length", "0" if isKnown else str(len(body)))
                self.end_headers()
                if not isKnown:
                    self.wfile.write(body)

            def log_message(self, *words):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plane)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        print(f"listening {server.server_port}")
        server.serve_forever()

        """#
}
