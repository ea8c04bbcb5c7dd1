@testable import nodeguard

extension FuzzTarget {
    /// Either mistakes with their places, or a configuration that is the same when it is written out and read again.
    static let configuration = FuzzTarget("configuration", longest: 8192) {
        let small = """
            node: { name: db-1, cluster: a, state: /s }
            management: { url: "https://plane:8443" }
            certificates: { roles: [ { name: database, names: [localhost], addresses: [127.0.0.1] } ] }
            proxy:
              listeners:
                - { name: y, listen: ["127.0.0.1:5433"], protocol: postgres, backend: 127.0.0.1:5432,
                    certificate: database, trust: [cluster], allow: [ { uri: "spiffe://a/app/*" } ] }
            backups: { targets: [ { name: local, url: "file:///b" } ] }
            """
        return [Array(small.utf8), Array(ConfigurationExample.text.utf8)]
    } check: { input in
        guard let text = String(validating: input, as: UTF8.self) else { return }
        let reading = ConfigurationReading()
        let configuration = NodeConfiguration.read(text, reading)
        let lineCount = text.unicodeScalars.count { $0 == "\n" } + 2
        for mistake in reading.mistakes {
            let position = mistake.position
            try promise((1...lineCount).contains(position.line) && position.column >= 1, "a mistake at \(position)")
            try promise(!mistake.text.isEmpty, "a mistake without a word")
        }
        guard reading.mistakes.isEmpty else { return }
        guard let configuration else { throw BrokenPromise(description: "neither a configuration nor a mistake") }
        let written = ConfigurationText.of(configuration)
        let again = ConfigurationReading()
        try promise(NodeConfiguration.read(written, again) == configuration, "written out it is another:\n\(written)")
        try promise(again.mistakes.isEmpty, "written out it has mistakes: \(again.mistakes)")
    }
}
