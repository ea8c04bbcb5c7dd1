import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct `Mutual TLS` {
    /// Which certificates, and what must come of each: `Matrix/cases.py`.
    @Test func `lets in and refuses what it must, whichever library the client has`() throws {
        // Nodes in it have unix sockets, whose paths are short (unix(7)).
        let folder = try TemporaryDirectory(prefix: "m")
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Matrix/matrix.py").path
        let outcome = try Program.run(
            try PythonPeers.python(), ["-B", script, Program.nodeguard, folder.path])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.output.contains(", 0 wrong"), "\(outcome)")
        print(outcome.output)
    }
}
