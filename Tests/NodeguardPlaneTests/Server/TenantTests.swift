import Crypto
import Foundation
import Logging
import PlaneAPI
import Testing

@testable import nodeguard_plane

/// Who calls, as seen from db-1 of alpha, whose label, key and names each call is about.
enum Tenant: CaseIterable {
    case itself, neighbour, foreign, revoked, unenrolled, otherAuthority
}

/// One call and what each caller is answered. A call that names no cluster (`self`) is about the caller's own.
struct TenantRow: Sendable {
    let route: String
    let name: String
    var label = "alpha"
    var operation: EST.Operation?
    /// In the order of `Tenant`; 0: TLS ends it.
    let statuses: [Int]
    /// nil: this call cannot name another cluster's.
    var foreignReason: String?

    static let everybody = [200, 200, 200, 200, 200, 0]
    static let own = [200, 200, 200, 403, 401, 0]

    static let all = [
        TenantRow(
            route: "GET /.well-known/est/{label}/{operation}", name: "est.read", operation: .authorities,
            statuses: everybody),
        TenantRow(
            route: "GET /.well-known/est/{label}/{operation}", name: "est.read", operation: .attributes,
            statuses: [204, 204, 204, 204, 204, 0]),
        TenantRow(
            route: "POST /.well-known/est/{label}/{operation}", name: "certificate.issue", operation: .enroll,
            statuses: [200, 403, 403, 403, 401, 0], foreignReason: "cluster-not-allowed"),
        TenantRow(
            route: "POST /.well-known/est/{label}/{operation}", name: "certificate.issue", label: "alpha.database",
            operation: .enroll, statuses: [200, 403, 403, 403, 401, 0], foreignReason: "cluster-not-allowed"),
        TenantRow(
            route: "POST /.well-known/est/{label}/{operation}", name: "certificate.renew", operation: .reenroll,
            statuses: [200, 403, 403, 403, 401, 0], foreignReason: "cluster-not-allowed"),
        TenantRow(route: "GET /v1/clusters/{cluster}/crl", name: "crl.read", statuses: everybody),
        TenantRow(route: "POST /v1/keys", name: "key.create", statuses: own),
        TenantRow(
            route: "POST /v1/keys/{id}/unwrap", name: "key.unwrap", statuses: [200, 200, 403, 403, 401, 0],
            foreignReason: "key-of-another-cluster"),
        TenantRow(
            route: "POST /v1/keys/{id}/deletion", name: "key.deletion", statuses: [200, 200, 403, 403, 401, 0],
            foreignReason: "key-of-another-cluster"),
        TenantRow(
            route: "PUT /v1/nodes/self/audit/{epoch}/key", name: "audit.key", statuses: [204, 204, 204, 403, 401, 0]),
        TenantRow(route: "PUT /v1/nodes/self/audit/{epoch}/{range}", name: "audit.batch", statuses: own),
        TenantRow(
            route: "PUT /v1/nodes/self/observed", name: "node.observed", statuses: [204, 204, 204, 403, 401, 0]),
        TenantRow(
            route: "GET /v1/nodes/self/desired", name: "desired.read", statuses: [204, 204, 204, 403, 401, 0]),
        TenantRow(route: "PUT /v1/recovery", name: "recovery.key", statuses: [204, 204, 204, 403, 401, 0]),
        TenantRow(route: "POST /v1/recovery/challenge", name: "recovery.challenge", statuses: everybody),
        TenantRow(route: "GET /v1/audit/witness", name: "audit.witness", statuses: everybody),
        TenantRow(route: "GET /v1/health", name: "health.read", statuses: everybody),
    ]
}

@Suite struct `Tenants` {
    let plane: RunningPlane
    let node: TestNode
    let key: CreatedKey

    init() throws {
        plane = try RunningPlane()
        node = try TestNode.enrolled(plane, "db-1")
        let body = try JSONEncoder.plane.encode(KeyCreation(backup: "base"))
        key = try plane.call("POST", Keys.path, body: body, as: node).decode()
        try plane.verb(
            "role", "allow", "--cluster", "alpha", "--node", "db-1", "--role", "database", "--dns", "db-1.example")
        try plane.verb(
            "role", "allow", "--cluster", "alpha", "--node", "db-2", "--role", "database", "--dns", "db-2.example")
    }

    /// Node of another cluster: a new one for each call, so that each refusal is an event of its own.
    private func caller(_ tenant: Tenant, _ index: Int) throws -> TestNode? {
        switch tenant {
        case .itself: return node
        case .neighbour: return try TestNode.enrolled(plane, "db-2")
        case .foreign: return try TestNode.enrolled(plane, cluster: "beta", "foreign-\(index)")
        case .revoked:
            let revoked = try TestNode.enrolled(plane, "revoked-\(index)")
            try plane.verb("revoke", revoked.serial)
            return revoked
        case .unenrolled: return nil
        case .otherAuthority:
            let other = try TestNode(plane, "db-1")
            try Shell.succeed([
                "openssl", "req", "-x509", "-new", "-key", other.keyFile, "-subj", other.usualSubject, "-days", "1",
                "-out", other.chainFile,
            ])
            return other
        }
    }

    private func call(_ row: TenantRow, as caller: TestNode?) throws -> RunningPlane.Answer {
        let own = AuditLogFixture(node: caller?.name ?? "db-1", cluster: caller?.cluster ?? "alpha")
        let method = String(row.route.prefix { $0 != " " })
        switch (row.name, row.operation) {
        case (_, .enroll?), (_, .reenroll?):
            let names = row.label == "alpha" ? node.usualNames : "subjectAltName=DNS:db-1.example"
            let request = try node.request(extensions: [names])
            return try node.enroll(request, label: row.label, as: caller, operation: row.operation ?? .enroll)
        case (_, let operation?):
            return try plane.call(method, EST.path(label: row.label, operation: operation), as: caller)
        case ("health.read", _): return try plane.call(method, "/v1/health", as: caller)
        case ("crl.read", _):
            return try plane.call(method, RevocationLists.path(cluster: "alpha"), as: caller)
        case ("key.create", _):
            let body = try JSONEncoder.plane.encode(KeyCreation(backup: "own"))
            return try plane.call(method, Keys.path, body: body, as: caller)
        case ("key.unwrap", _):
            let body = try JSONEncoder.plane.encode(
                KeyUnwrapping(wrapped: key.wrapped, kek: key.kek, reason: "restore"))
            return try plane.call(method, Keys.unwrapPath(id: key.id), body: body, as: caller)
        case ("key.deletion", _):
            return try plane.call(method, Keys.deletionPath(id: key.id), as: caller)
        case ("audit.key", _):
            let body = try JSONEncoder.plane.encode(AuditKey(publicKey: own.key.publicKey.rawRepresentation))
            return try plane.call(method, AuditBatches.keyPath(epoch: own.epoch), body: body, as: caller)
        case ("audit.batch", _):
            return try sendBatch(own, method, as: caller)
        case ("recovery.key", _):
            let key = P256.Signing.PrivateKey().publicKey.derRepresentation
            let body = try JSONEncoder.plane.encode(RecoveryKey(publicKey: key))
            return try plane.call(method, Recovery.path, body: body, as: caller)
        case ("recovery.challenge", _):
            let body = try JSONEncoder.plane.encode(RecoveryQuestion(cluster: "alpha", node: "db-1", uses: 0))
            return try plane.call(method, Recovery.challengePath, body: body, as: caller)
        case ("desired.read", _): return try plane.call(method, DesiredState.path, as: caller)
        case ("node.observed", _):
            let report = ObservedState(
                version: "1.0.0", instance: String(repeating: "a", count: 32), boot: "", generation: 1, time: 1)
            return try plane.call(method, ObservedState.path, body: try JSONEncoder.plane.encode(report), as: caller)
        default:
            return try plane.call(method, AuditBatches.witnessPath, as: caller)
        }
    }

    private func sendBatch(_ log: AuditLogFixture, _ method: String, as caller: TestNode?) throws -> RunningPlane.Answer
    {
        var log = AuditLogFixture(node: log.node, cluster: log.cluster, epoch: log.epoch + 1)
        log.append(2)
        let body = try JSONEncoder.plane.encode(AuditKey(publicKey: log.key.publicKey.rawRepresentation))
        _ = try plane.call("PUT", AuditBatches.keyPath(epoch: log.epoch), body: body, as: caller)
        return try plane.call(
            method, AuditBatches.path(epoch: log.epoch, first: 1, last: 2), body: log.batch(1...2),
            type: AuditBatches.contentType, as: caller)
    }

    private func isRecorded(_ row: TenantRow, _ caller: TestNode?, reason: String, in events: [CanonicalJSON]) throws
        -> Bool
    {
        let serial = try caller?.serial
        return events.contains { event in
            event["name"]?.text == row.name && event["outcome"]?.text == "refused"
                && event["fields"]?["reason"]?.text == reason && event["fields"]?["node"]?.text == caller?.name
                && event["fields"]?["cluster"]?.text == caller?.cluster && event["fields"]?["serial"]?.text == serial
        }
    }

    @Test func `are apart: every call of every caller is answered as the table says, each refusal in the log`() throws {
        let callers = try Dictionary(
            uniqueKeysWithValues: [Tenant.neighbour, .otherAuthority].map { ($0, try caller($0, 0)) })
        var refused: [(row: TenantRow, tenant: Tenant, caller: TestNode?, reason: String)] = []
        for (index, row) in TenantRow.all.enumerated() {
            for (tenant, status) in zip(Tenant.allCases, row.statuses) {
                let caller = try callers[tenant] ?? caller(tenant, index)
                let answer = try call(row, as: caller)
                let cell = "\(row.name) \(row.label) \(row.operation?.rawValue ?? ""): \(tenant)"
                #expect(answer.status == status, "\(cell): \(answer.status) \(answer.text)")
                if let expected = row.foreignReason, tenant == .foreign {
                    #expect(answer.reason == expected, "\(cell)")
                }
                if tenant == .revoked, status == 403 { #expect(answer.reason == "revoked", "\(cell)") }
                if [401, 403].contains(answer.status) {
                    refused.append((row, tenant, caller, answer.reason ?? ""))
                }
            }
        }
        let events = try plane.verb("audit", "tail", "--plane", "-n", "10000", "--json").split(separator: "\n")
            .map { try CanonicalJSON(Array($0.utf8)) }
        for cell in refused {
            let isRecorded = try isRecorded(cell.row, cell.caller, reason: cell.reason, in: events)
            #expect(isRecorded, "\(cell.row.name) \(cell.row.label): \(cell.tenant) is not in the log")
        }
        #expect(
            refused.filter { $0.tenant == .foreign }.count == TenantRow.all.filter { $0.foreignReason != nil }.count)
        #expect(try plane.verb("audit", "verify", "--plane").hasPrefix("intact: "))
        // What a foreign node got where it may call is its own cluster's.
        let keys = try plane.verb("key", "list", "--json")
        #expect(keys.contains(#""backup":"own","cluster":"beta""#))
    }

    @Test func `have a row for every call of the plane`() throws {
        let state = try PlaneState.open(plane.state)
        let address = try #require(ListenAddress("127.0.0.1:0"))
        let server = PlaneServer(
            state: state, listen: address, names: [], memory: LogMemory(state), logger: Logger(label: "test"))
        #expect(Set(server.callNames) == Set(TenantRow.all.map(\.route)))
        #expect(TenantRow.all.allSatisfy { $0.statuses.count == Tenant.allCases.count })
        // Whoever may not name another cluster's there is refused with 403, and only there.
        for row in TenantRow.all { #expect((row.statuses[2] == 403) == (row.foreignReason != nil), "\(row.route)") }
        #expect(Set(TenantRow.all.compactMap(\.operation)) == Set(Self.operations))
    }

    /// The compiler asks for a row when EST has one more operation.
    private static let operations: [EST.Operation] = {
        let all: [EST.Operation] = [.authorities, .attributes, .enroll, .reenroll]
        for operation in all {
            switch operation {
            case .authorities, .attributes, .enroll, .reenroll: break
            }
        }
        return all
    }()
}
