extension ObservedState {
    /// What is wrong with a report that came from outside; nil: nothing.
    package var flaw: String? {
        guard Self.isHex(instance, count: 32) else { return "instance is not 32 hex digits" }
        guard generation > 0 else { return "generation is not positive" }
        guard time > 0 else { return "time is not positive" }
        if let flaw = Self.flaw([version, boot], "version or boot") ?? planeTrust?.flaw("plane_trust") { return flaw }
        guard certificates.count <= Self.listLimit, listeners.count <= Self.listLimit else {
            return "there are more than \(Self.listLimit) certificates or listeners"
        }
        for certificate in certificates {
            if let flaw = certificate.flaw {
                return "a certificate of the role \(certificate.role.prefix(63)): \(flaw)"
            }
        }
        for listener in listeners {
            if let flaw = listener.flaw { return "the listener \(listener.name.prefix(63)): \(flaw)" }
        }
        return desired?.flaw
    }

    static func isHex(_ text: String, count: Int) -> Bool {
        text.utf8.count == count
            && text.utf8.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }

    fileprivate static func flaw(_ texts: [String], _ what: String) -> String? {
        for text in texts {
            guard text.utf8.count <= textLimit, text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F })
            else { return "\(what) is longer than \(textLimit) bytes or has control characters" }
        }
        return nil
    }
}

extension ObservedState.Trust {
    fileprivate func flaw(_ what: String) -> String? {
        guard anchors.count <= ObservedState.listLimit, ([bundle] + anchors).allSatisfy({ isDigest($0) }) else {
            return "\(what) is not made of SHA-256 in hex, or of more than \(ObservedState.listLimit)"
        }
        return nil
    }
}

extension ObservedState.Certificate {
    fileprivate var flaw: String? {
        guard Name.isValid(role) else { return "its role is no name" }
        guard chain.count <= 16, ((issuerKey.map { [$0] } ?? []) + chain).allSatisfy({ isDigest($0) }) else {
            return "issuer_key or chain is not SHA-256 in hex"
        }
        return ObservedState.flaw([serial, issuer], "serial or issuer")
    }
}

extension ObservedState.Listener {
    fileprivate var flaw: String? {
        guard Name.isValid(name), roles.count <= ObservedState.listLimit, roles.allSatisfy(Name.isValid) else {
            return "its name or roles are no names"
        }
        guard issuers.count <= ObservedState.listLimit,
            (issuers.map(\.key) + (served.map { [$0] } ?? [])).allSatisfy({ isDigest($0) })
        else { return "issuers or served is not SHA-256 in hex" }
        guard unknownCA >= 0, refusingClients >= 0, unknownIssuers >= 0, issuers.allSatisfy({ $0.peers >= 0 })
        else {
            return "a count is negative"
        }
        return trust?.flaw("trust")
    }
}

extension ObservedState.Desired {
    fileprivate var flaw: String? {
        guard version >= 0, hash.map({ isDigest($0) }) ?? true else { return "desired has no version and hash" }
        guard results.count <= 4 * ObservedState.listLimit else { return "desired has too many results" }
        return ObservedState.flaw(
            results.flatMap { [$0.resource, $0.outcome, $0.detail ?? ""] } + [
                refusal?.reason ?? "", refusal?.detail ?? "",
            ], "a text of desired")
    }
}

private func isDigest(_ text: String) -> Bool { ObservedState.isHex(text, count: 64) }
