import Foundation
import HTTP
import IO
import OpenSSL
import TestSupport
import Testing

/// An HTTPS server in Python that shares no code with the client, and writes down what it was sent.
final class TestServer: Sendable {
    private let process: Subprocess
    let url: String

    private static let program = """
        import http.server, ssl, sys, time
        certificate, key, trust = sys.argv[1:4]
        class Answers(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            def log_message(self, *a): pass
            def do_GET(self):
                length = int(self.headers.get('Content-Length') or 0)
                body = self.rfile.read(length)
                peer = self.connection.getpeercert() or {}
                name = ''.join(v for r in peer.get('subject', ()) for k, v in r if k == 'commonName')
                print('request', self.command, self.path, 'authorization=' + str(self.headers.get('Authorization')),
                      'peer=' + name, 'port=' + str(self.client_address[1]), 'body=' + str(len(body)), flush=True)
                if self.path == '/big':
                    self.send_response(200); self.send_header('Content-Length', str(1 << 30)); self.end_headers()
                    try:
                        while True: self.wfile.write(b'x' * 65536)
                    except OSError: return
                if self.path == '/drip':
                    self.send_response(200); self.send_header('Content-Length', '1000'); self.end_headers()
                    try:
                        for _ in range(1000): self.wfile.write(b'x'); self.wfile.flush(); time.sleep(0.1)
                    except OSError: return
                if self.path == '/redirect':
                    self.send_response(302); self.send_header('Location', '/ok')
                    self.send_header('Content-Length', '0'); self.end_headers(); return
                self.send_response(200); self.send_header('X-Kind', 'ok'); self.send_header('Content-Length', '5')
                self.end_headers(); self.wfile.write(b'hello')
            do_POST = do_PUT = do_GET
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(trust)
        context.verify_mode = ssl.CERT_OPTIONAL
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answers)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        print('listening', server.server_address[1], flush=True)
        server.serve_forever()
        """

    init(_ authority: TestAuthority, name: String = "localhost") async throws {
        let identity = try authority.server(name: name)
        process = try Subprocess(
            "/usr/bin/python3", ["-c", Self.program, identity.chainPath, identity.keyPath, authority.trustPath])
        try await process.waitForLine(containing: "listening")
        let line = try #require(process.output.split(separator: "\n").first { $0.hasPrefix("listening") })
        url = "https://localhost:" + (line.split(separator: " ").last ?? "")
    }

    /// One line for each request that arrived.
    var requests: [String] {
        process.output.split(separator: "\n").filter { $0.hasPrefix("request") }.map(String.init)
    }
}
