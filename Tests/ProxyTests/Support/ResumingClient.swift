import Foundation
import TestSupport

@testable import Proxy

/// `openssl s_client`, which keeps TLS sessions in files and shows them again.
struct ResumingClient {
    /// How a client asks to resume.
    enum Way: String, CaseIterable {
        case pskOf13 = "1.3 PSK"
        case ticketOf12 = "1.2 ticket"
        /// It offers the identifier of a session that has a ticket, and not the ticket.
        case identifierOf12 = "1.2 identifier"

        var isEverResumed: Bool { self != .identifierOf12 }
        fileprivate var version: String { self == .pskOf13 ? "-tls1_3" : "-tls1_2" }
    }

    struct Visit: CustomStringConvertible {
        let isReused: Bool
        /// It has read what the database says.
        let isServed: Bool
        let description: String
    }

    let way: Way
    private let folder: TemporaryDirectory
    private let session: String

    init(_ way: Way, in folder: TemporaryDirectory) {
        self.way = way
        self.folder = folder
        session = folder.file(way.rawValue)
    }

    static let said = Array("hello\n".utf8)
    static let answer = "served\n"

    /// A database that has one word for each client, and ends.
    static func backend() throws -> TestBackend {
        try TestBackend { socket, _ in
            if try socket.receive().isEmpty { return }
            try socket.send(Array(answer.utf8))
        }
    }

    /// Comes for the first time, and keeps the session.
    func begin(
        _ port: UInt16, as identity: TestIdentity, options: [String] = [], saying bytes: [UInt8] = said
    ) throws -> Visit {
        try visit(port, identity, options + ["-sess_out", session], saying: bytes)
    }

    func comeAgain(
        _ port: UInt16, as identity: TestIdentity, options: [String] = [], saying bytes: [UInt8] = said
    ) throws -> Visit {
        try visit(port, identity, options + showing, saying: bytes)
    }

    /// The program, which stays until its input or its connection ends. `keeps`: comes for the first time.
    func stay(_ port: UInt16, as identity: TestIdentity, keeps: Bool = false) throws -> Subprocess {
        let options = keeps ? ["-sess_out", session] : showing
        return try Subprocess("openssl", Self.arguments(port, identity, way) + options, keepsInputOpen: true)
    }

    private var showing: [String] { ["-sess_in", session] + (way.isEverResumed ? [] : ["-no_ticket"]) }

    private func visit(
        _ port: UInt16, _ identity: TestIdentity, _ options: [String], saying bytes: [UInt8]
    ) throws -> Visit {
        let name = UUID().uuidString
        try folder.write(bytes, to: name)
        guard let input = FileHandle(forReadingAtPath: folder.file(name)) else { throw TestSupportError("no input") }
        let result = try Subprocess.run(
            "openssl", Self.arguments(port, identity, way) + ["-ign_eof"] + options, input: input)
        return Visit(
            isReused: result.output.contains("\nReused, TLSv1"), isServed: result.output.contains(Self.answer),
            description: "\(result)")
    }

    private static func arguments(_ port: UInt16, _ identity: TestIdentity, _ way: Way) -> [String] {
        [
            "s_client", "-connect", "127.0.0.1:\(port)", way.version, "-servername", "localhost", "-cert",
            identity.certificatePath, "-key", identity.keyPath, "-cert_chain", identity.chainPath,
        ]
    }
}
