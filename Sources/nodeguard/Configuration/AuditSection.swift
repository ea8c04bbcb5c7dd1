import Audit

/// `audit:`: how much the spool may hold, what becomes of events when it is full, and whose cosignature counts.
struct AuditSection: Sendable, Equatable {
    var spoolLimit = 1 << 30
    var whenFull = FullPolicies()
    /// The plane's C2SP verifier key; nil: the first that it names.
    var witness: String?

    static func read(_ section: Section) -> AuditSection? {
        section.refuse("sources", "redact", "destinations")
        var audit = AuditSection()
        let limit = section.section("spool") { section in
            audit.whenFull = section.section("when-full", policies) ?? FullPolicies()
            return section.value("limit", .size((16 << 20)...(1 << 40)))
        }
        if let limit { audit.spoolLimit = limit }
        audit.witness = section.value("witness", .witnessKey)
        return audit
    }

    private static func policies(_ section: Section) -> FullPolicies? {
        section.refuse("statements")
        var policies = FullPolicies()
        _ = section.value("security", .neverDrop)
        policies.connection = section.value("connection", .fullPolicy) ?? policies.connection
        policies.backup = section.value("backup", .fullPolicy) ?? policies.backup
        policies.agent = section.value("agent", .fullPolicy) ?? policies.agent
        return policies
    }
}

extension Form where Value == FullPolicy {
    fileprivate static var fullPolicy: Form {
        Form { text throws(Flaw) in
            if text == "block" {
                throw Flaw("nobody waits for the log: write refuse-connections, and nobody begins what is not told")
            }
            if text == "never-drop" { throw Flaw("only security events are never dropped") }
            return try word("policy").read(text)
        }
    }
}

extension Form where Value == Void {
    fileprivate static var neverDrop: Form {
        Form { text throws(Flaw) in
            guard text == "never-drop" else { throw Flaw("security events are never dropped: write never-drop") }
        }
    }
}

extension Form where Value == String {
    fileprivate static var witnessKey: Form {
        Form { text throws(Flaw) in
            guard Witness(verifierKey: text) != nil else {
                throw Flaw("this is no witness key: copy the last line of 'nodeguard-plane audit keys'")
            }
            return text
        }
    }
}
