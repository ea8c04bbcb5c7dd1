import Foundation
import IO
import PlaneAPI
import Testing

/// A real plane: the program in a process of its own, a free port, a state folder that is removed with it. Driven as an
/// operator (verbs) and as a node (curl) would.
final class RunningPlane: Sendable {
    let folder: String
    let state: String
    let url: String
    private let process: ChildProcess

    /// The program stands beside the test bundle.
    static let program: String = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("nodeguard-plane").path
    }()

    /// `hsm`: the URI of a token.
    init(clusters: [String] = ["alpha", "beta"], store: TestStore? = nil, hsm: String? = nil) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("plane-\(UUID().uuidString)").path
        state = folder + "/state"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        try (store ?? TestStore.usual).prepare(state)
        (process, url) = try Self.start(state: state, log: folder + "/log", hsm: hsm)
        for cluster in clusters { try verb("cluster", "create", cluster) }
        try verb("trust", "--out", folder + "/root.pem")
    }

    /// On a state that `make` puts into the folder that it is given.
    init(making make: (_ state: String) throws -> Void) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("plane-\(UUID().uuidString)").path
        state = folder + "/state"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        try make(state)
        (process, url) = try Self.start(state: state, log: folder + "/log")
        try verb("trust", "--out", folder + "/root.pem")
    }

    /// With a copy of the other one's folder, over the same database.
    init(beside other: RunningPlane) throws {
        folder = other.folder + "-beside"
        state = folder + "/state"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        try Shell.succeed(["cp", "-a", other.state, state])
        (process, url) = try Self.start(state: state, log: folder + "/log")
        try verb("trust", "--out", folder + "/root.pem")
    }

    /// At once, in the middle of whatever it does; what stands between goes first, and the kernel sees to the rest.
    func kill() {
        process.signal(SIGKILL)
        process.wait()
    }

    deinit {
        process.signal(SIGTERM)
        process.wait()
        try? FileManager.default.removeItem(atPath: folder)
    }

    static func start(state: String, log: String, hsm: String? = nil, more: [String] = []) throws -> (
        ChildProcess, String
    ) {
        let pipe = Foundation.Pipe()
        try Data().write(to: URL(fileURLWithPath: log))
        let errors = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        let process = try ChildProcess(
            "timeout",
            [
                "300", "setpriv", "--pdeathsig", "KILL", program, "run", "--verbose", "--state", state, "--listen",
                "127.0.0.1:0",
            ] + (hsm.map { ["--hsm", $0] } ?? []) + more,
            output: pipe.fileHandleForWriting.fileDescriptor, errors: errors.fileDescriptor)
        try pipe.fileHandleForWriting.close()
        try errors.close()
        var said = Data()
        while !said.contains(0x0A) {
            let piece = pipe.fileHandleForReading.availableData
            if piece.isEmpty {
                Issue.record("the plane ended before it was ready: \(try String(contentsOfFile: log, encoding: .utf8))")
            }
            try #require(!piece.isEmpty)
            said += piece
        }
        let line = String(decoding: said, as: UTF8.self).trimmingCharacters(in: .newlines)
        try #require(line.hasPrefix("listening on https://127.0.0.1:"))
        return (process, String(line.dropFirst("listening on ".count)))
    }

    var log: String { (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? "" }

    @discardableResult
    func verb(_ words: String...) throws -> String {
        try Shell.succeed([Self.program] + words + ["--state", state]).line
    }

    func failingVerb(_ words: String...) throws -> Shell.Output {
        let output = try Shell.run([Self.program] + words + ["--state", state])
        #expect(output.status != 0, "\(words.joined(separator: " ")) should have failed")
        return output
    }

    func bundle(cluster: String = "alpha", node: String, ttl: String = "1h") throws -> JoinBundle {
        try JoinBundle(
            text: verb("token", "create", "--cluster", cluster, "--node", node, "--ttl", ttl))
    }

    struct Answer {
        let status: Int
        let headers: String
        let body: Data

        var text: String { String(decoding: body, as: UTF8.self) }
        /// The reason of a refusal.
        var reason: String? { (try? JSONDecoder().decode(PlaneRefusal.self, from: body))?.reason }

        func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
            try JSONDecoder().decode(type, from: body)
        }
    }

    /// One call with curl: `status` 0 means that no HTTP answer came.
    func call(
        _ method: String, _ path: String, body: Data? = nil, type: String = "application/json",
        as node: TestNode? = nil, token: String? = nil, _ more: [String] = []
    ) throws -> Answer {
        let place = folder + "/call-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: place) }
        var words = ["curl", "-sS", "--max-time", "20", "--cacert", folder + "/root.pem", "-X", method]
        words += ["-o", place + "/body", "-D", place + "/headers", "-w", "%{http_code}"]
        if body != nil { words += ["-H", "Content-Type: \(type)", "-H", "Expect:", "--data-binary", "@-"] }
        if let node { words += ["--cert", node.chainFile, "--key", node.keyFile] }
        if let token {
            try "user = \":\(token)\"\n".write(toFile: place + "/config", atomically: true, encoding: .utf8)
            words += ["--config", place + "/config"]
        }
        let output = try Shell.run(words + more + [url + path], input: body ?? Data())
        return Answer(
            status: Int(output.line) ?? 0,
            headers: (try? String(contentsOfFile: place + "/headers", encoding: .utf8)) ?? "",
            body: (try? Data(contentsOf: URL(fileURLWithPath: place + "/body"))) ?? Data())
    }
}
