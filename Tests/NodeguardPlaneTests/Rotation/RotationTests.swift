import Foundation
import OpenSSL
import PlaneAPI
import Testing

/// A plane whose nodes are curl, and report what they are told to.
private struct Scene {
    let plane: RunningPlane
    private var generation: Int64 = 0

    init() throws { plane = try RunningPlane(clusters: ["alpha", "beta"]) }

    /// What `/cacerts` hands out.
    func bag(of cluster: String = "alpha") throws -> [OpenSSL.Certificate] {
        let answer = try plane.call("GET", EST.path(label: cluster, operation: .authorities))
        let der = try #require(Data(base64Encoded: answer.body, options: .ignoreUnknownCharacters))
        let text = try Shell.succeed(["openssl", "pkcs7", "-inform", "DER", "-print_certs"], input: der).text
        return try OpenSSL.Certificate.parsePEM(Array(text.utf8))
    }

    /// The node trusts what is handed out now, and its identity is that of its files.
    mutating func report(
        _ node: TestNode, trusting anchors: [OpenSSL.Certificate]? = nil, alerts: Int64 = 0,
        mayBeTooMany: Bool = false
    ) throws {
        generation += 1
        let anchors = try (anchors ?? bag(of: node.cluster)).filter { !$0.isSelfIssued }
        let trust = ObservedState.Trust(
            bundle: hex(Array(0..<32)), anchors: anchors.map { hex($0.fingerprint) }.sorted())
        let own = try certificates(node.chainFile)
        let leaf = try #require(own.first)
        let issuer = own.first { leaf.isIssued(by: $0) }
        let listener = ObservedState.Listener(
            name: "ysql", isTunnel: false, roles: ["database"],
            trust: .init(
                bundle: trust.bundle,
                anchors: anchors.filter { !$0.isSelfSigned }.map { hex($0.fingerprint) }.sorted()),
            served: nil, issuers: [], unknownCA: alerts, refusingClients: alerts, unknownIssuers: 0)
        let state = ObservedState(
            version: "1", instance: String(repeating: "ab", count: 16), boot: "", generation: generation,
            time: Int64(Date().timeIntervalSince1970), planeTrust: trust,
            certificates: [
                .init(
                    role: "node", serial: leaf.serial, issuer: leaf.issuer,
                    issuerKey: issuer.map { hex($0.publicKeySHA256) }, notAfter: leaf.notAfter, chain: [])
            ], listeners: [listener])
        let answer = try plane.call("PUT", ObservedState.path, body: JSONEncoder.plane.encode(state), as: node)
        #expect(answer.status == 204 || mayBeTooMany && answer.status == 429, "\(answer.text)")
    }

    /// The node renews its identity; whether the new root's authority has issued it.
    func renew(_ node: TestNode) throws -> Bool {
        let answer = try node.enroll(as: node, operation: .reenroll)
        try #require(answer.status == 200, "\(answer.text)")
        try node.keep(answer)
        let leaf = try #require(try certificates(node.certificateFile).first)
        let root = try #require(try certificates(plane.folder + "/root.pem").first)
        let bag = try bag(of: node.cluster)
        let issuer = try #require(bag.first { leaf.isIssued(by: $0) })
        return !issuer.isIssued(by: root)
    }

    func window(_ node: TestNode) throws -> String? {
        try plane.call("GET", EST.path(label: node.cluster, operation: .authorities), as: node).headers
            .split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("ng-renew-window: ") }
            .map { String($0.dropFirst("ng-renew-window: ".count)) }
    }

    private func certificates(_ path: String) throws -> [OpenSSL.Certificate] {
        try OpenSSL.Certificate.parsePEM(Array(try Data(contentsOf: URL(fileURLWithPath: path))))
    }

    func hex(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}

@Suite struct `The plane's rotation` {
    @Test func `hands out both roots, their words for each other, and only the cluster's own authorities`() throws {
        let scene = try Scene()
        let before = try scene.bag()
        #expect(before.count == 2)
        try scene.plane.verb("rotate-ca", "start")
        let bag = try scene.bag()
        let roots = bag.filter(\.isSelfSigned)
        let words = bag.filter(\.isSelfIssued)
        #expect(roots.count == 2 && words.count == 2 && bag.count == 6)
        #expect(Set(roots.map(\.subjectDER)).count == 1, "one name: a path length does not count its words")
        for word in words { #expect(roots.filter { word.isIssued(by: $0) }.count == 1) }
        let others = try scene.bag(of: "beta")
        #expect(Set(bag).intersection(others) == Set(roots + words))
        let pins = try scene.plane.verb("trust", "--out", scene.plane.folder + "/both.pem")
        #expect(pins.split(separator: "\n").count == 2)
        let bundle = try scene.plane.bundle(node: "db-9")
        #expect(Set(bundle.pins) == Set(pins.split(separator: "\n").map(String.init)))
    }

    @Test func `issues to one node first, to the others when that one serves, and to nobody when clients mind`() throws
    {
        var scene = try Scene()
        let plane = scene.plane
        let (first, second) = (try TestNode.enrolled(plane, "db-1"), try TestNode.enrolled(plane, "db-2"))
        let old = try scene.bag()
        try plane.verb("rotate-ca", "start")
        #expect(try plane.failingVerb("rotate-ca", "issue").standardError.contains("alpha/db-1 has never reported"))
        try scene.report(first)
        try scene.report(second, trusting: old.filter(\.isSelfSigned))
        #expect(try plane.failingVerb("rotate-ca", "issue").standardError.contains("alpha/db-2 does not trust"))
        try scene.report(second)
        try plane.verb("rotate-ca", "issue", "--node", "db-2", "--watch", "1s", "--spread", "2h")
        #expect(try scene.window(first) == nil)
        let own = try #require(try scene.window(second).flatMap { RenewalWindow(text: $0) })
        #expect(own.start == own.end)
        #expect(try !scene.renew(first) && scene.renew(second))
        #expect(try scene.window(second) != nil, "the plane tells of the issuer, the node knows whose it has")
        try scene.report(second)
        let isWidened = try eventuallyBlockingReport(&scene, second) { try $0.window(first) != nil }
        #expect(isWidened)
        let later = try #require(try scene.window(first).flatMap { RenewalWindow(text: $0) })
        #expect(later.end - later.start == 7200)
        #expect(try scene.renew(first))
        #expect(try plane.failingVerb("rotate-ca", "finish").standardError.contains("alpha/db-1 still uses"))
        try scene.report(first, alerts: 2)
        try scene.report(first, alerts: 3)
        let status = try plane.verb("rotate-ca", "status")
        #expect(status.contains("halted: 3 clients of alpha/db-1 refuse"), "\(status)")
        #expect(try !scene.renew(second), "the old root issues again")
        #expect(try plane.verb("audit", "tail", "--plane", "-n", "50").contains("rotation.halt"))
        try plane.verb("audit", "verify", "--plane")
    }

    /// Reports again until it is so: the first node has to serve for a second.
    private func eventuallyBlockingReport(
        _ scene: inout Scene, _ node: TestNode, _ condition: (Scene) throws -> Bool
    ) throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            try scene.report(node, mayBeTooMany: true)
            if try condition(scene) { return true }
        }
        return false
    }

    @Test func `ends what the old root issued, and takes it back`() throws {
        var scene = try Scene()
        let plane = scene.plane
        let (node, late) = (try TestNode.enrolled(plane, "db-1"), try TestNode.enrolled(plane, "db-2"))
        try plane.verb("node", "remove", "db-2", "--cluster", "alpha")
        try plane.verb("rotate-ca", "start")
        try scene.report(node)
        try plane.verb("rotate-ca", "issue", "--watch", "1s")
        #expect(try scene.renew(node))
        let isWidened = try eventuallyBlockingReport(&scene, node) {
            try $0.plane.verb("rotate-ca", "status").contains("everyone")
        }
        #expect(isWidened)
        try plane.verb("rotate-ca", "finish")
        let bag = try scene.bag()
        #expect(bag.filter(\.isSelfSigned).count == 1 && bag.filter(\.isSelfIssued).count == 1 && bag.count == 3)
        let early = try plane.failingVerb("rotate-ca", "start").standardError
        #expect(early.contains("alpha/db-1 still trusts the old root"), "\(early)")
        // The plane shows the new root, and a client with the old one alone can verify it by its word.
        let answer = try plane.call("GET", EST.path(label: "alpha", operation: .authorities), as: node)
        #expect(answer.status == 200, "\(plane.log)")
        let isRefused = try eventuallyStatus(0) { try plane.call("GET", "/v1/audit/witness", as: late).status }
        #expect(isRefused, "TLS ends it")
        let lists = try plane.call("GET", "/v1/clusters/alpha/crl")
        let issuers = try OpenSSL.RevocationList.parse(Array(lists.body))
        #expect(issuers.count == 2 && issuers.allSatisfy { list in bag.contains { list.isIssued(by: $0) } })
        try plane.verb("rotate-ca", "rollback")
        #expect(try scene.bag().count == 6)
        let both = try plane.call("GET", "/v1/clusters/alpha/crl")
        #expect(try OpenSSL.RevocationList.parse(Array(both.body)).count == 4)
    }

    private func eventuallyStatus(_ wanted: Int, _ body: () throws -> Int) throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            if try body() == wanted { return true }
        }
        return false
    }

    /// A verb that is killed at any of its writes has done its step, or nothing.
    @Test func `is whole after a crash at each step`() throws {
        let scene = try Scene()
        let plane = scene.plane
        for words in [["start"], ["issue"], ["finish"], ["rollback"], ["rollback"], ["rollback"]] {
            let before = try phase(plane)
            var kills = 0
            while true {
                kills += 1
                let trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,rename"]
                let inject = ["-e", "inject=fsync,fdatasync,rename:signal=KILL:when=\(kills)"]
                let outcome = try Shell.run(
                    trace + inject + [RunningPlane.program, "rotate-ca"] + words + ["--state", plane.state])
                let after = try phase(plane)
                if after != before { break }
                try #require(outcome.status != 0 && kills < 60, "\(words): \(outcome.standardError)")
            }
            // With PostgreSQL all that this process writes itself is keys.
            #expect(kills > 1 || TestStore.isPostgres, "it was killed before it was done")
            try plane.verb("audit", "verify", "--plane")
            #expect(try plane.call("GET", EST.path(label: "alpha", operation: .authorities)).status == 200)
        }
        #expect(try phase(plane) == "withdrawn")
    }

    private func phase(_ plane: RunningPlane) throws -> String {
        struct Status: Decodable { let phase: String }
        return try JSONDecoder().decode(Status.self, from: Data(plane.verb("rotate-ca", "status", "--json").utf8)).phase
    }

    @Test func `is not needed to revoke a cluster's authority`() throws {
        let scene = try Scene()
        let plane = scene.plane
        let node = try TestNode.enrolled(plane, "db-1")
        let before = try scene.bag()
        let issuer = try #require(before.first { !$0.isSelfSigned })
        let root = try #require(before.first { $0.isSelfSigned })
        let told = try plane.verb("revoke", issuer.serial)
        #expect(told.contains("another issues in its place"), "\(told)")
        let after = try scene.bag()
        #expect(!after.contains(issuer) && after.contains(root) && after.count == 2)
        let window = try #require(try scene.window(node).flatMap { RenewalWindow(text: $0) })
        #expect(window.issuer == scene.hex(issuer.publicKeySHA256))
        // The register knows the node, whoever has signed; what it gets now is of the successor.
        let answer = try node.enroll(as: node, operation: .reenroll)
        #expect(answer.status == 200, "\(answer.text)")
        let lists = try OpenSSL.RevocationList.parse(Array(plane.call("GET", "/v1/clusters/alpha/crl").body))
        let ofRoot = try #require(lists.first { $0.isIssued(by: root) })
        #expect(lists.count == 3 && ofRoot.count == 1)
        #expect(try plane.failingVerb("revoke", root.serial).standardError.contains("rotate-ca"))
        #expect(try plane.failingVerb("revoke", issuer.serial).standardError.contains("revoked before"))
        #expect(try plane.verb("journal", "-n", "50").contains("authority.revoke"))
    }
}
