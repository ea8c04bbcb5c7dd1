/// `backups:`: where sealed backups go, and how much memory their streams may take.
struct BackupsSection: Sendable, Equatable {
    struct Target: Sendable, Equatable {
        enum Place: Sendable, Equatable {
            case folder(String)
            case store(StoreSection)
        }

        let name: String
        let place: Place

        var store: StoreSection? { if case .store(let store) = place { store } else { nil } }
    }

    var memory = 128 << 20
    var targets: [Target] = []

    static func read(_ section: Section, isManaged: Bool) -> BackupsSection? {
        section.refuse("spool", "escrow")
        var backups = BackupsSection()
        if let memory = section.value("memory", .size((16 << 20)...(64 << 30))) { backups.memory = memory }
        var names: Set<String> = []
        backups.targets = section.sections("targets") { section in
            let target = readTarget(section)
            if let target, !names.insert(target.name).inserted {
                section.add("there is a target '\(target.name)' already", at: section.place(of: "name"))
            }
            return target
        }
        if !isManaged, !backups.targets.isEmpty {
            section.add(
                "without 'management' there is nobody to keep the keys of backups: add it, or leave 'targets' out",
                at: section.place(of: "targets"))
        }
        if backups.targets.contains(where: { $0.store != nil }), backups.memory < StoreSection.leastMemory {
            section.add(
                "a target in an object store needs 'memory' of "
                    + "\(Quantity.text(bytes: StoreSection.leastMemory)) or more",
                at: section.place(of: "memory"))
        }
        return backups
    }

    private static func readTarget(_ section: Section) -> Target? {
        section.refuse("keep", "verify", "object-lock", "escrow")
        let name = section.value("name", .name, isRequired: true)
        let url = section.value("url", .targetURL, isRequired: true)
        let store = StoreSection.read(section, url)
        guard let name, let url else { return nil }
        switch url {
        case .folder(let path): return Target(name: name, place: .folder(path))
        case .bucket: return store.map { Target(name: name, place: .store($0)) }
        }
    }
}
