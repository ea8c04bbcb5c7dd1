import Glibc
import OpenSSL
import TestSupport
import Testing

@Suite struct `A revoked peer` {
    /// One row of the table: the lists that a listener has, its rules, and what it says of the same client.
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// nil: let in.
        let kind: TLSFailure.Kind?
        let words: String
        let rules: RevocationRules
        let lists: @Sendable (Scene) throws -> [[UInt8]]

        init(
            _ description: String, _ kind: TLSFailure.Kind?, _ words: String = "",
            _ rules: RevocationRules = RevocationRules(),
            lists: @escaping @Sendable (Scene) throws -> [[UInt8]]
        ) {
            testDescription = description
            self.kind = kind
            self.words = words
            self.rules = rules
            self.lists = lists
        }
    }

    struct Scene: Sendable {
        let authority: TestAuthority
        let client: TestIdentity

        func root(_ change: (inout TestRevocationList) -> Void = { _ in }) throws -> [UInt8] {
            try authority.revocationList(by: authority.root, change)
        }
        func intermediate(_ change: (inout TestRevocationList) -> Void = { _ in }) throws -> [UInt8] {
            try authority.revocationList(change)
        }
        /// A list that ended ten seconds ago.
        func ended(_ change: (inout TestRevocationList) -> Void = { _ in }) throws -> [UInt8] {
            try authority.revocationList {
                $0.validity = -3600 ... -10
                change(&$0)
            }
        }
    }

    private static let leaf = RevocationRules(depth: .leaf)
    private static let scene = Result {
        let authority = try TestAuthority()
        return Scene(authority: authority, client: try authority.client())
    }

    static let rows: [Row] = [
        Row("on no list", nil) { [try $0.root(), try $0.intermediate()] },
        Row("on no list, the leaf alone looked up", nil, "", leaf) { [try $0.intermediate()] },
        Row("leaf revoked", .revoked, "the certificate is revoked") { scene in
            [try scene.root(), try scene.intermediate { $0.revoked = [scene.client] }]
        },
        Row("leaf revoked, the leaf alone looked up", .revoked, "the certificate is revoked", leaf) { scene in
            [try scene.intermediate { $0.revoked = [scene.client] }]
        },
        Row("intermediate revoked", .revoked, "the authority O=nodeguard tests,CN=Test Intermediate") { scene in
            [try scene.root { $0.revoked = [scene.authority.intermediate] }, try scene.intermediate()]
        },
        Row("intermediate revoked, the leaf alone looked up", nil, "", leaf) { scene in
            [try scene.root { $0.revoked = [scene.authority.intermediate] }, try scene.intermediate()]
        },
        Row("no list at all", .revocationUnknown, "there is no CRL of") { _ in [] },
        Row("no list of the root", .revocationUnknown, "there is no CRL of O=nodeguard tests,CN=Test Root") {
            [try $0.intermediate()]
        },
        Row(
            "no list of the intermediate", .revocationUnknown,
            "there is no CRL of O=nodeguard tests,CN=Test Intermediate"
        ) {
            [try $0.root()]
        },
        Row("a list that has ended", .revocationUnknown, "has expired") { [try $0.root(), try $0.ended()] },
        Row("revoked by a list that has ended", .revoked) { scene in
            [try scene.root(), try scene.ended { $0.revoked = [scene.client] }]
        },
        Row("ended, within its grace", nil, "", RevocationRules(freshness: .grace(seconds: 60))) {
            [try $0.root(), try $0.ended()]
        },
        Row("ended, and its grace too", .revocationUnknown, "", RevocationRules(freshness: .grace(seconds: 5))) {
            [try $0.root(), try $0.ended()]
        },
        Row("ended, the last known counts", nil, "", RevocationRules(freshness: .lastKnown)) {
            [try $0.root(), try $0.ended()]
        },
        Row("revoked by the last known", .revoked, "", RevocationRules(freshness: .lastKnown)) { scene in
            [try scene.root(), try scene.ended { $0.revoked = [scene.client] }]
        },
        Row("a list of the future", .revocationUnknown, "is not valid yet") {
            [try $0.root(), try $0.intermediate { $0.validity = 3600...7200 }]
        },
        Row(
            "a list of another authority", .revocationUnknown,
            "there is no CRL of O=nodeguard tests,CN=Test Intermediate"
        ) {
            [try $0.root(), try TestAuthority(name: "Other").revocationList()]
        },
        Row("a list with the signature of a namesake", .revocationUnknown, "is not signed by") {
            [try $0.root(), try TestAuthority().revocationList()]
        },
        Row("a namesake's list beside the right one", .revoked) { scene in
            [
                try scene.root(), try TestAuthority().revocationList { $0.number = 99 },
                try scene.intermediate { $0.revoked = [scene.client] },
            ]
        },
        Row("two lists, the newer revokes", .revoked) { scene in
            [
                try scene.root(), try scene.intermediate(),
                try scene.intermediate {
                    $0.number = 2
                    $0.revoked = [scene.client]
                },
            ]
        },
        Row("two lists, the newer has released it", nil) { scene in
            [
                try scene.root(), try scene.intermediate { $0.revoked = [scene.client] },
                try scene.intermediate { $0.number = 2 },
            ]
        },
        Row(
            "a list of authorities alone", .revocationUnknown,
            "there is no CRL of O=nodeguard tests,CN=Test Intermediate"
        ) {
            [
                try $0.root(),
                try $0.intermediate {
                    $0.extensions = ["issuingDistributionPoint": "critical,@authorities"]
                },
            ]
        },
        Row("a list of leaves alone", .revoked) { scene in
            [
                try scene.root(),
                try scene.intermediate {
                    $0.extensions = ["issuingDistributionPoint": "critical,@point"]
                    $0.revoked = [scene.client]
                },
            ]
        },
    ]

    private func trust(_ row: Row, pinned: Bool = false) throws -> TrustAnchors {
        let scene = try Self.scene.get()
        let lists = try row.lists(scene).flatMap { try RevocationList.parse($0) }
        let root = try scene.authority.root.certificate()
        let all = pinned ? [root, try scene.authority.intermediate.certificate()] : [root]
        return try TrustAnchors(all, pinsIntermediates: pinned, revocation: Revocation(lists, row.rules))
    }

    @Test(arguments: rows, TLSVersion.allCases)
    func `is refused in its handshake`(row: Row, version: TLSVersion) throws {
        let scene = try Self.scene.get()
        let server = try scene.authority.server().tlsIdentity()
        let pair = TLSPair(
            try TLSContext.server(identity: server, trust: try trust(row), minimum: version, maximum: version),
            try TLSContext.client(
                identity: try scene.client.tlsIdentity(), trust: try scene.authority.trust(), serverName: "localhost",
                minimum: version, maximum: version))
        switch (pair.shakeHands().server, row.kind) {
        case (.finished, nil): break
        case (.failed(let failure), let kind?):
            #expect(failure.kind == kind)
            #expect(failure.detail.contains(row.words), "\(failure.detail)")
        case (let outcome, _): Issue.record("\(outcome)")
        }
    }

    @Test(arguments: rows)
    func `is refused when it is judged again`(row: Row) throws {
        let chain = try Certificate.parsePEM(try Self.scene.get().client.chainPEM)
        let verdict = try trust(row).judge(
            leaf: chain[0], intermediates: Array(chain.dropFirst()), purpose: .client, at: Int64(time(nil)))
        switch verdict {
        case .success: #expect(row.kind == nil)
        case .failure(let failure): #expect(failure.kind == row.kind, "\(failure.detail)")
        }
    }

    @Test func `is looked up though its chain is remembered`() throws {
        let scene = try Self.scene.get()
        let lists = try RevocationList.parse(scene.intermediate { $0.validity = -3600...3 })
        let trust = try TrustAnchors(
            [scene.authority.root.certificate()], revocation: Revocation(lists, RevocationRules(depth: .leaf)))
        let context = try TLSContext.server(identity: try scene.authority.server().tlsIdentity(), trust: trust)
        func outcome() throws -> HandshakeOutcome {
            TLSPair(
                context,
                try TLSContext.client(identity: scene.client.tlsIdentity(), trust: nil, serverName: nil)
            ).shakeHands().server
        }
        #expect(try outcome() == .finished)
        let isRefused = try eventuallyBlocking(within: 10) {
            guard case .failed(let failure) = try outcome() else { return false }
            return failure.kind == .revocationUnknown
        }
        #expect(isRefused)
    }

    @Test func `is told so by the alert`() throws {
        let scene = try Self.scene.get()
        let lists = try RevocationList.parse(scene.intermediate { $0.revoked = [scene.client] })
        let trust = try TrustAnchors(
            [scene.authority.root.certificate()], revocation: Revocation(lists, RevocationRules(depth: .leaf)))
        let pair = TLSPair(
            try TLSContext.server(
                identity: try scene.authority.server().tlsIdentity(), trust: trust, maximum: .tls12),
            try TLSContext.client(
                identity: try scene.client.tlsIdentity(), trust: try scene.authority.trust(), serverName: "localhost"))
        guard case .failed(let failure) = pair.shakeHands().client else {
            Issue.record("the client was let in")
            return
        }
        #expect(failure.alert == "certificate revoked")
    }

    /// A file of root and intermediate makes the intermediate an anchor.
    @Test func `is refused under an anchor that is revoked by one above it`() throws {
        let scene = try Self.scene.get()
        let chain = try Certificate.parsePEM(scene.client.chainPEM)
        for isRevoked in [true, false] {
            let row = Row("", isRevoked ? .revoked : nil) { scene in
                [
                    try scene.root { $0.revoked = isRevoked ? [scene.authority.intermediate] : [] },
                    try scene.intermediate(),
                ]
            }
            let verdict = try trust(row, pinned: true).judge(
                leaf: chain[0], intermediates: Array(chain.dropFirst()), purpose: .client, at: Int64(time(nil)))
            if case .failure(let failure) = verdict { #expect(isRevoked && failure.kind == .revoked) }
            if case .success = verdict { #expect(!isRevoked) }
        }
    }

    @Test func `is known until its list ends, and each that ends counts`() throws {
        let scene = try Self.scene.get()
        let lists = try RevocationList.parse(
            scene.root() + scene.intermediate { $0.validity = -3600...600 })
        let end = try #require(lists.last?.nextUpdate)
        let revocation = Revocation(lists, RevocationRules())
        #expect(revocation.lastEnd(at: end - 1) == nil && revocation.lastEnd(at: end) == end)
        let last = try #require(lists.map(\.nextUpdate).max())
        #expect(last > end + 60 && revocation.lastEnd(at: last - 1) == end && revocation.lastEnd(at: last) == last)
        let graceful = Revocation(lists, RevocationRules(freshness: .grace(seconds: 60)))
        #expect(graceful.lastEnd(at: end + 59) == nil && graceful.lastEnd(at: end + 60) == end + 60)
        #expect(Revocation(lists, RevocationRules(freshness: .lastKnown)).lastEnd(at: .max) == nil)
        let chain = try Certificate.parsePEM(scene.client.chainPEM) + [scene.authority.root.certificate()]
        let trust = try TrustAnchors(
            [scene.authority.root.certificate()], revocation: Revocation(lists, RevocationRules()))
        #expect(trust.refusal(of: chain, at: end - 1) == nil)
        #expect(trust.refusal(of: chain, at: end)?.kind == .revocationUnknown)
    }
}
