import Crypto
import Foundation
import PlaneAPI
import SwiftASN1
import Testing
import X509

@testable import nodeguard_plane

/// A call whose head came with a good identity, and whose body was whole only when the identity counted no more.
@Suite struct `A call that takes its time` {
    @Test(arguments: ["revoke", "remove", "replace"]) func `gets nothing for who is shut out meanwhile`(
        _ verb: String
    ) throws {
        let plane = try RunningPlane()
        let node = try TestNode.enrolled(plane, "db-1")
        let state = try PlaneState.open(plane.state)
        let now = UnixTime.now
        let chain = try String(contentsOfFile: node.certificateFile, encoding: .utf8)
        let der = try DER.encode(try Certificate(pemEncoded: chain))
        let identity = try state.database.read { try NodeIdentity.find(der: der, now: now, $0) }
        let label = try #require(ESTLabel("alpha"))
        let request = try EnrollmentRequest(der: Array(TestNode(plane, "db-1").request()))
        let enrollment = nodeguard_plane.Enrollment(state: state, label: label, request: request)
        _ = try enrollment.renew(by: identity, now: now)
        let key = try KeyCustody(state: state).create(for: identity, backup: "base", now: now)
        if verb == "revoke" {
            try plane.verb(verb, node.serial)
        } else {
            try plane.verb("node", verb, "db-1", "--cluster", "alpha")
        }
        let unwrapping = KeyUnwrapping(wrapped: key.wrapped, kek: key.kek, reason: "restore")
        let recovery = P256.Signing.PrivateKey().publicKey.derRepresentation
        let report = ObservedState(
            version: "1", instance: String(repeating: "a", count: 32), boot: "boot", generation: 1, time: now,
            clockOffset: 0, planeTrust: nil, certificates: [], listeners: [],
            desired: .init(version: 0, hash: nil, results: [], refusal: nil))
        let calls: [() throws -> Void] = [
            { _ = try enrollment.renew(by: identity, now: now) },
            { _ = try enrollment.enroll(by: .identity(identity), now: now) },
            { _ = try KeyCustody(state: state).create(for: identity, backup: "base", now: now) },
            { _ = try KeyCustody(state: state).unwrap(key.id, for: identity, unwrapping, now: now) },
            { _ = try KeyCustody(state: state).requestDeletion(of: key.id, by: identity, now: now) },
            { try NodeRecovery(state: state).register(recovery, of: identity, now: now) },
            {
                try state.database.write {
                    try ObservedReports.take(report, [], from: identity, state.log, now: now, $0)
                }
            },
        ]
        for (index, call) in calls.enumerated() {
            let refusal = #expect(throws: Refusal.self, "\(index)") { try call() }
            #expect(refusal?.reason == (verb == "replace" ? NodeIdentity.replaced : "revoked"), "\(index)")
        }
    }
}
