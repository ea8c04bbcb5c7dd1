import Foundation
import OpenSSL
import PlaneAPI
import TestSupport

@testable import Management

/// Configuration keys under a root of their own, and what they sign.
struct SignedStates {
    static let authority = Result { try TestAuthority(name: "Plane") }
    static let key = Result { try make(organization: "alpha") }
    static let now: Int64 = Int64(Date().timeIntervalSince1970)
    static let reader = VerifiedDesiredState.Reader(cluster: "alpha", node: "db-1", version: "1.2.3")

    static func make(
        organization: String?, usage: String = "critical,\(DesiredState.keyUsage)",
        by issuer: TestAuthority.Issuer = .root, key: TestCertificate.Key = .ecP256,
        validity: ClosedRange<Double>? = nil, isAuthority: Bool = false
    ) throws -> TestIdentity {
        try authority.get().issue(
            name: "configuration key", organization: organization, usage: [], validity: validity,
            isAuthority: isAuthority, key: key, extensions: ["extendedKeyUsage": usage], by: issuer)
    }

    static var roots: [Certificate] {
        get throws { [try authority.get().root.certificate(), try authority.get().intermediate.certificate()] }
    }

    static func state(_ version: Int64 = 7, _ change: (inout DesiredState) -> Void = { _ in }) -> DesiredState {
        var state = DesiredState(
            cluster: "alpha", node: nil, version: version, issuedAt: now - 10, expiresAt: now + 3600,
            content: DesiredContent(deny: [DesiredDenial(key: "uri", value: "spiffe://alpha/app/shop")]))
        change(&state)
        return state
    }

    static func envelope(
        _ payload: [UInt8], by identity: TestIdentity, type: String = DesiredState.payloadType
    ) throws -> SignedEnvelope {
        let key = try PrivateKey(pemFile: identity.keyPath)
        return SignedEnvelope(
            payloadType: type, payload: payload,
            signature: try key.sign(VerifiedDesiredState.authenticated(type: type, payload: payload)),
            certificate: try identity.certificate().der, keyID: "sha256:x")
    }

    static func signed(_ state: DesiredState = state(), by identity: TestIdentity? = nil) throws -> [UInt8] {
        try envelope(try state.payload, by: try identity ?? key.get()).text
    }

    static func verify(
        _ envelope: [UInt8], for reader: VerifiedDesiredState.Reader = reader, roots: [Certificate]? = nil,
        at time: Int64? = now
    ) throws -> VerifiedDesiredState {
        try VerifiedDesiredState(verifying: envelope, for: reader, roots: try roots ?? Self.roots, at: time)
    }

    static func reason(_ body: () throws -> VerifiedDesiredState) throws -> DesiredRefusal.Reason? {
        do {
            _ = try body()
            return nil
        } catch let refusal as DesiredRefusal { return refusal.reason }
    }
}
