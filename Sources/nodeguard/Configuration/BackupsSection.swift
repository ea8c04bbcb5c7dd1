import Audit

/// `backups:`: where sealed backups go, and how much memory their streams may take.
struct BackupsSection: Sendable, Equatable {
    struct Target: Sendable, Equatable {
        let name: String
        let folder: String
    }

    var memory = 128 << 20
    var targets: [Target] = []

    static func read(_ section: Section, isManaged: Bool) -> BackupsSection? {
        section.refuse("spool", "escrow")
        var backups = BackupsSection()
        if let memory = section.value("memory", .size((16 << 20)...(64 << 30))) { backups.memory = memory }
        var names: Set<String> = []
        backups.targets = section.sections("targets") { section in
            section.refuse(
                "keep", "verify", "endpoint", "region", "credentials", "object-lock", "bandwidth", "escrow")
            let name = section.value("name", .name, isRequired: true)
            let folder = section.value("url", .fileURL, isRequired: true)
            guard let name, let folder else { return nil }
            if !names.insert(name).inserted {
                section.add("there is a target '\(name)' already", at: section.place(of: "name"))
            }
            return Target(name: name, folder: folder)
        }
        if !isManaged, !backups.targets.isEmpty {
            section.add(
                "without 'management' there is nobody to keep the keys of backups: add it, or leave 'targets' out",
                at: section.place(of: "targets"))
        }
        return backups
    }
}

/// `audit:`: how much the spool may hold, and whose cosignature counts.
struct AuditSection: Sendable, Equatable {
    var spoolLimit = 1 << 30
    /// The plane's C2SP verifier key; nil: the first that it names.
    var witness: String?

    static func read(_ section: Section) -> AuditSection? {
        section.refuse("sources", "redact", "destinations")
        var audit = AuditSection()
        let limit = section.section("spool") { section in
            section.refuse("when-full")
            return section.value("limit", .size((16 << 20)...(1 << 40)))
        }
        if let limit { audit.spoolLimit = limit }
        audit.witness = section.value("witness", .witnessKey)
        return audit
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
