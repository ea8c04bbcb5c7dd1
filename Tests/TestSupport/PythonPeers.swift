import Foundation

/// Independent implementations in Python: the environment that `packaging/python-peers` makes, or, outside of the
/// packaging scripts, one of the user's own, made once.
package enum PythonPeers {
    private static let made = Result { try make() }

    package static func python() throws -> String { try made.get() }

    private static let top: URL = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url
    }()

    /// A test that needs a peer fails without it; it is never passed over.
    private static func make() throws -> String {
        let packaged = top.appendingPathComponent(".build/python-peers/bin/python").path
        if works(packaged) { return packaged }
        let caches = ProcessInfo.processInfo.environment["XDG_CACHE_HOME"] ?? NSHomeDirectory() + "/.cache"
        let folder = caches + "/nodeguard/python-peers"
        if works(folder + "/bin/python") { return folder + "/bin/python" }
        try Subprocess.check("python3", ["-m", "venv", folder], within: 120)
        let list = top.appendingPathComponent("packaging/python-dependencies").path
        try Subprocess.check(
            folder + "/bin/pip", ["install", "--quiet", "--disable-pip-version-check", "-r", list], within: 300)
        return folder + "/bin/python"
    }

    private static func works(_ python: String) -> Bool {
        guard FileManager.default.isExecutableFile(atPath: python) else { return false }
        return
            (try? Subprocess.run(
                python, ["-c", "import aws_encryption_sdk, cassandra, cryptography, moto.server, psycopg"]))?
            .succeeded
            == true
    }

    /// Runs `script` with `arguments`; its standard output is text.
    package static func run(_ script: String, _ arguments: [String]) throws -> Subprocess.Result {
        try Subprocess.run(try python(), ["-c", script] + arguments, within: 120)
    }

    /// The decryptor that the documentation shows.
    package static func documentedDecryptor() throws -> String {
        let page = top.appendingPathComponent("Sources/Jobs/Backups/Backups.docc/SealedStream.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        guard let start = text.range(of: "```python\n"),
            let end = text.range(of: "```", range: start.upperBound..<text.endIndex)
        else { throw TestSupportError("no Python in \(page.path)") }
        return String(text[start.upperBound..<end.lowerBound])
    }
}
