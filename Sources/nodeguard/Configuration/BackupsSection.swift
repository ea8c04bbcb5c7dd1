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
