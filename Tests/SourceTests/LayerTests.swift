import Testing

@Suite struct `The layers` {
    static let jobs: Set<String> = ["Audit", "Backups", "Certificates", "Management", "Proxy", "Status"]
    static let platform: Set<String> = [
        "HTTP", "IO", "OpenSSL", "PlaneAPI", "PlaneClient", "Reports", "Systemd", "Tokens",
    ]
    static let cLibraries: [String: String] = [
        "COpenSSL": "Platform/OpenSSL", "CSystemd": "Platform/Systemd", "CCurl": "Platform/HTTP",
        "CLinux": "Platform/IO", "CPKCS11": "Platform/Tokens", "CPostgres": "nodeguard-plane",
    ]

    @Test func `are read from a tree that is there`() {
        #expect(SourceTree.sources.count > 40)
        #expect(SourceTree.jobs.count > 20)
    }

    @Test func `let no job import another job`() {
        let wrong = SourceTree.jobs.flatMap { file in
            file.imports.filter(Self.jobs.contains).map { "\(file): imports \($0)" }
        }
        #expect(wrong == [])
    }

    @Test func `let nothing of the platform import a job`() {
        let wrong = SourceTree.sources.filter { $0.module.hasPrefix("Platform/") }.flatMap { file in
            file.imports.filter(Self.jobs.contains).map { "\(file): imports \($0)" }
        }
        #expect(wrong == [])
    }

    @Test func `keep each C library in its one home`() {
        let wrong = SourceTree.files.flatMap { file in
            file.imports.filter { Self.cLibraries[$0] != nil && Self.cLibraries[$0] != file.module }
                .map { "\(file): imports \($0)" }
        }
        #expect(wrong == [])
    }

    @Test func `keep the plane apart from the agent's code, PlaneAPI excepted`() {
        let wrong = SourceTree.sources.filter { $0.module == "nodeguard-plane" }.flatMap { file in
            file.imports.filter { Self.jobs.union(Self.platform).subtracting(["PlaneAPI"]).contains($0) }
                .map { "\(file): imports \($0)" }
        }
        #expect(wrong == [])
    }

    @Test func `keep state machines free of imports and clocks`() throws {
        let machines = SourceTree.sources.filter { $0.name.hasSuffix("StateMachine.swift") }
        #expect(machines.count >= 4)
        #expect(machines.flatMap { file in file.imports.map { "\(file): imports \($0)" } } == [])
        #expect(try SourceTree.occurrences(of: #"\b(\w*Clock|Timestamp\.now|\.random\()"#, in: machines) == [])
    }

    @Test func `make dispatch sources and check executors in IO alone`() throws {
        let others = SourceTree.sources.filter { $0.module != "Platform/IO" }
        #expect(try SourceTree.occurrences(of: #"DispatchSource\b|makeTimerSource|makeReadSource"#, in: others) == [])
        let notLanes = SourceTree.sources.filter { !["Lane.swift", "SerialQueue.swift"].contains($0.name) }
        #expect(try SourceTree.occurrences(of: #"\bassumeIsolated\b"#, in: notLanes) == [])
    }
}
