import OpenSSL

extension SessionMark {
    /// Over all that lets a listener's clients in, and over what they were shown: who resumes computes SCRAM's channel
    /// binding from the certificate of before.
    ///
    /// Deny lists and the map of database users are in the epoch alone, which is another after each change.
    init(of listener: String, _ contexts: ListenerContexts, _ standing: Standing) {
        let digest = Digest.SHA256()
        func add(_ values: [[UInt8]]) {
            digest.update(Self.bytes(values.count))
            for value in values {
                digest.update(Self.bytes(value.count))
                digest.update(value)
            }
        }
        let revocation = standing.trust.revocation
        let policy = standing.policy
        add([Array(listener.utf8)])
        add((contexts.server?.shown ?? []).map(\.certificate.fingerprint))
        add(standing.trust.certificates.map(\.fingerprint))
        add((revocation?.lists ?? []).flatMap { [$0.fingerprint, Array(($0.number ?? "").utf8)] })
        add(revocation.map { [Array("\($0.rules)".utf8)] } ?? [])
        add([Array(policy.mode.rawValue.utf8)])
        for rules in [policy.allow, policy.deny, policy.narrowing.deny] + policy.narrowing.allow {
            add(rules.map { Array($0.description.utf8) })
        }
        digest.update(Self.bytes(Int(truncatingIfNeeded: standing.generation)))
        self.init(context: digest.finish(), epoch: standing.generation)
    }

    private static func bytes(_ number: Int) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
    }
}
