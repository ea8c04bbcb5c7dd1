import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// One request for a certificate, decided and recorded in one transaction: either the certificate, its place in the
/// register and the spent token are all durable, or nothing happened.
struct Enrollment: Sendable {
    let state: PlaneState
    let label: ESTLabel
    let request: EnrollmentRequest

    /// More than this from one node in an hour is a loop, not a fleet.
    static let hourlyLimit = 1200

    enum Credential: Sendable {
        case token(String)
        case recovery(NodeRecovery.Proof)
        case identity(NodeIdentity)
    }

    /// `simpleenroll`: a first certificate, or one more.
    func enroll(by credential: Credential, now: Int64) throws -> [UInt8] {
        try state.database.write { database in
            switch credential {
            case .identity(let identity):
                try identity.require(cluster: label.cluster)
                try identity.requireStanding(now: now, database)
                return try issue(to: identity.node, by: identity.actor, now: now, database).derBytes
            case .recovery(let proof):
                guard label.role == nil else {
                    throw Refusal.denied("role-not-allowed", "a recovery gives the node identity only")
                }
                let recovery = NodeRecovery(state: state)
                let proven = try recovery.verify(
                    proof, cluster: label.cluster, requestDigest: request.digest, now: now, database)
                if let again = try answerAgain(proof, now: now, database) { return again }
                try recovery.use(proven, now: now, database)
                return try issue("certificate.recover", to: proof.node, by: .stranger, now: now, database).derBytes
            case .token(let text):
                let token = try JoinToken.check(text, now: now, database)
                guard token.cluster == label.cluster else {
                    throw Refusal.denied("cluster-not-allowed", "this join token is for another cluster's label")
                }
                guard label.role == nil else {
                    throw Refusal.denied("role-not-allowed", "a join token gives the node identity only")
                }
                if let again = try answerAgain(token, database) { return again }
                let certificate = try issue(to: token.node, by: .stranger, now: now, database)
                try state.log.record(
                    PlaneEvent(
                        name: "token.spend", actor: .stranger, cluster: token.cluster, node: token.node,
                        detail: "token \(token.id), serial \(certificate.serialText)"),
                    now: now, database)
                try JoinToken.spend(token, key: request.keyDigest, serial: certificate.serialText, now: now, database)
                return try certificate.derBytes
            }
        }
    }

    /// The first answer may have been lost on its way: the same key gets the same certificate again.
    private func answerAgain(_ token: JoinToken.Known, _ database: Database) throws -> [UInt8]? {
        guard let spentKey = token.spentKey else { return nil }
        guard ConstantTime.equal(spentKey, request.keyDigest), let serial = token.serial,
            let der = try IssuedCertificates.der(serial: serial, database)
        else {
            throw Refusal.unauthorized("token-spent", "this join token was used before; ask for a new bundle")
        }
        return der
    }

    /// As with a token: the newest identity, if it is of this key. An agent keeps its request until it is answered.
    private func answerAgain(_ proof: NodeRecovery.Proof, now: Int64, _ database: Database) throws -> [UInt8]? {
        guard let der = try IssuedCertificates.newestIdentity(of: proof.node, in: label.cluster, now: now, database),
            let certificate = try? Certificate(derEncoded: der)
        else { return nil }
        let key = Array(SHA256.hash(data: try DER.encode(certificate.publicKey)))
        return ConstantTime.equal(key, request.keyDigest) ? der : nil
    }

    /// `simplereenroll`: the same subject and names as the certificate of the connection, byte by byte (RFC 7030
    /// §4.2.2).
    func renew(by identity: NodeIdentity, now: Int64) throws -> [UInt8] {
        try identity.require(cluster: label.cluster)
        let current = identity.certificate
        guard try DER.encode(current.subject) == request.subjectDER else {
            throw Refusal.denied(
                "subject-changed", "a renewal keeps the subject \(current.subject); enroll for another")
        }
        let names = current.extensions[oid: .X509ExtensionID.subjectAlternativeName].map { Array($0.value) }
        guard names == request.alternativeNames.map({ Array($0.value) }) else {
            throw Refusal.denied("names-changed", "a renewal keeps the alternative names; enroll for other ones")
        }
        guard label.role == nil else {
            throw Refusal.denied("role-not-allowed", "a role's certificate is renewed by simpleenroll at its label")
        }
        return try state.database.write { database in
            try identity.requireStanding(now: now, database)
            return try issue("certificate.renew", to: identity.node, by: identity.actor, now: now, database).derBytes
        }
    }

    private func issue(
        _ name: String = "certificate.issue", to node: String, by actor: PlaneEvent.Actor, now: Int64,
        _ database: Database
    ) throws -> Certificate {
        let inForce = try AuthoritiesInForce(of: label.cluster, database)
        guard let issuer = inForce.issuer(of: label.cluster, for: "\(label.cluster)/\(node)") else {
            throw Refusal.unknownLabel(label.cluster)
        }
        let policy = try IssuancePolicy.find(cluster: label.cluster, node: node, role: label.role, database)
        guard let policy else {
            throw Refusal.denied(
                "role-not-allowed", "\(node) of \(label.cluster) may not be certified for the role \(label.role ?? "")")
        }
        let holder = IssuedCertificates.Holder(
            kind: label.role == nil ? .node : .role, cluster: label.cluster, name: node, role: label.role)
        guard try IssuedCertificates.count(of: holder, since: now - 3600, database) < Self.hourlyLimit else {
            throw Refusal.tooMany("\(node) asked for more than \(Self.hourlyLimit) certificates in an hour", after: 600)
        }
        let certificate = try issuer.load(from: state, database).issue(policy.decide(request), now: now)
        try IssuedCertificates.record(certificate, of: holder, by: issuer, database)
        try state.log.record(
            PlaneEvent(
                name: name, actor: actor, cluster: label.cluster, node: node,
                detail: "role \(label.role ?? IssuancePolicy.identityRole), serial \(certificate.serialText), "
                    + "until \(UnixTime.text(certificate.notAfterSeconds))"),
            now: now, database)
        return certificate
    }
}
