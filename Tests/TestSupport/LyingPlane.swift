import Foundation

/// A plane that answers every question as it is told to, however wrong: a real HTTPS server in a process of its own,
/// whose answers are bytes and not a library's.
package final class LyingPlane: Sendable {
    package struct Answer: Encodable, Sendable {
        package var status = "200 OK"
        package var headers: [String] = []
        package var body: [UInt8] = []
        /// What the headers say of the body; nil: the truth.
        package var length: Int?
        /// The connection ends after so many bytes of head and body, or so many before their end.
        package var cut: Int?
        /// Milliseconds between two bytes of the body.
        package var drip = 0
        /// The answer goes on for as long as somebody takes it.
        package var isEndless = false
        /// In place of all this.
        package var raw: [UInt8]?

        package init(_ status: String = "200 OK", _ headers: [String] = [], _ body: [UInt8] = []) {
            (self.status, self.headers, self.body) = (status, headers, body)
        }

        private enum CodingKeys: String, CodingKey { case status, headers, body, length, cut, drip, isEndless, raw }

        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(status, forKey: .status)
            try container.encode(headers, forKey: .headers)
            try container.encode(Data(body), forKey: .body)
            try container.encodeIfPresent(length, forKey: .length)
            try container.encodeIfPresent(cut, forKey: .cut)
            try container.encode(drip, forKey: .drip)
            try container.encode(isEndless, forKey: .isEndless)
            try container.encodeIfPresent(raw.map { Data($0) }, forKey: .raw)
        }
    }

    /// An answer that no question of ours may take for good, and what is to be said of it.
    package struct Lie: Sendable {
        package let name: String
        package let answer: Answer
        package let words: String
    }

    package let folder: TemporaryDirectory
    package let authority: TestAuthority
    package let url: String
    /// Of a node that may ask.
    package let client: TestIdentity
    private let process: Subprocess

    private static let script: String = {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Peers/lying_plane.py").path
    }()

    package init() async throws {
        folder = try TemporaryDirectory(prefix: "lying-plane")
        authority = try TestAuthority(name: "Plane")
        client = try authority.client(name: "db-1")
        let server = try authority.server()
        try folder.write("", to: "requests")
        try folder.write(Array(try JSONEncoder().encode(Answer("204 No Content"))), to: "answer")
        process = try Subprocess("python3", ["-u", Self.script, server.chainPath, server.keyPath, folder.path])
        try await process.waitForLine(containing: "listening", within: 60)
        let line = process.output.split(separator: "\n").first { $0.hasPrefix("listening ") }
        url = "https://127.0.0.1:\(line?.dropFirst("listening ".count) ?? "0")"
    }

    deinit { stop() }

    package func stop() { process.signal(SIGKILL) }

    /// All further questions are answered with this.
    package func answer(_ answer: Answer) throws {
        let json = try JSONEncoder().encode(answer)
        try json.write(to: URL(fileURLWithPath: folder.file("answer")), options: .atomic)
    }

    /// Method, path, tag that was named, and bytes of the body, of each question; written when it has come whole.
    package var requests: [String] {
        String(decoding: (try? folder.read("requests")) ?? [], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// How HTTP itself can be abused, whatever the question. `good`: the body of an answer that would be taken.
    /// `limit`: of bytes of a body.
    package static func lies(about good: [UInt8], limit: Int) -> [Lie] {
        func lie(_ name: String, _ words: String, _ answer: Answer, _ change: (inout Answer) -> Void = { _ in }) -> Lie
        {
            var answer = answer
            change(&answer)
            return Lie(name: name, answer: answer, words: words)
        }
        let tag = [#"ETag: "lie""#]
        let error = Array("<html>\u{1B}[31mno\r\n</html>".utf8)
        return [
            lie("500", "the plane answered 500", Answer("500 Internal Server Error", tag, good)),
            lie("503 until the end of time", "answered 503", Answer("503 Busy", ["Retry-After: \(Int.max)"])),
            lie("503 until before", "answered 503", Answer("503 Busy", ["Retry-After: -99999999999999999999"])),
            lie("503 until 9999", "answered 503", Answer("503 -", ["Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"])),
            lie(
                "429 with words", "answered 429", Answer("429 Slow", ["Retry-After: soon", "Content-Type: text/html"])),
            lie("401", "answered 401", Answer("401 Unauthorized", ["WWW-Authenticate: Basic realm=\"x\""], good)),
            lie("403", "answered 403", Answer("403 Forbidden", ["Content-Type: text/plain"], error)),
            lie("404", "answered 404", Answer("404 Not Found", tag, good)),
            lie("a redirect", "answered 302", Answer("302 Found", ["Location: https://127.0.0.1:1/"], good)),
            lie("a redirect to itself", "answered 307", Answer("307 -", ["Location: /v1/nodes/self/desired"], good)),
            lie("a status that is none", "answered 299", Answer("299 Fine", tag, good)) { _ in },
            lie("it hangs up before the answer", "Empty reply", Answer()) { $0.cut = 0 },
            lie("it hangs up in the head", "Empty reply", Answer("200 OK", tag, good)) { $0.cut = 9 },
            lie("it hangs up in the body", "transfer closed", Answer("200 OK", tag, good)) { $0.cut = -1 },
            lie("it promises more", "transfer closed", Answer("200 OK", tag, good)) { $0.length = good.count + 1 },
            lie("it announces too much", "transfer closed", Answer("200 OK", tag, good)) { $0.length = limit + 1 },
            lie("it does not end", "the answer is longer than", Answer("200 OK", tag, good)) { $0.isEndless = true },
            lie("no HTTP", "HTTP/0.9", Answer()) { $0.raw = Array("SSH-2.0-OpenSSH_9.2\r\n".utf8) },
            lie("headers without an end", "the headers are longer than", Answer()) {
                $0.raw = Array(("HTTP/1.1 200 OK\r\n" + String(repeating: "A: b\r\n", count: 1 << 18)).utf8)
            },
        ]
    }
}
