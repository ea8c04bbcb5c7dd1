import IO
import OpenSSL
import Reports

/// Brings one role's certificate into the files of others, and tells their reader. Each call blocks.
///
/// Started anew after any interruption it ends in the same place: what is there already is neither written nor told
/// again.
package struct Publication: Sendable {
    private let role: RoleConfiguration
    private let configuration: PublicationConfiguration
    private let stateDirectory: String

    /// nil: the role is not published.
    package init?(_ role: RoleConfiguration, stateDirectory: String) {
        guard let publication = role.publication else { return nil }
        (self.role, configuration, self.stateDirectory) = (role, publication, stateDirectory)
    }

    /// `isDemanded`: by a person, who ends what `undo` began. Throws if not even the outcome could be written down.
    package func run(isDemanded: Bool = false) throws(PublicationError) -> PublicationRecord {
        try recorded { state, before, ordered in
            publish(state, after: before, ordered: ordered, isDemanded: isDemanded)
        }
    }

    /// Puts the files of before back, and has the certificate of now withheld until there is another.
    package func undo() throws(PublicationError) -> PublicationRecord {
        try recorded { state, before, _ in
            let material = try? PublishedMaterial.current(of: role, configuration, state: state)
            do throws(PublicationError) {
                let folder = try PublishedFolder.open(configuration)
                try folder.restore()
                try tellReader()
                return PublicationRecord(
                    role: role.name, .withheld, material,
                    held: (folder.held ?? before?.held)?.going(with: material?.trust),
                    reason: "the files of before were put back by command", hasChanged: true)
            } catch { return failure(material, after: before, error) }
        }
    }

    /// One at a time, whoever publishes.
    private func recorded(
        _ body: (borrowing OpenFolder, PublicationRecord?, _ ordered: String?) -> PublicationRecord
    ) throws(PublicationError) -> PublicationRecord {
        let state = try opened { () throws(IOError) in try OpenFolder(stateDirectory) }
        let records = try opened { () throws(IOError) in try state.folder(PublicationRecord.folder) }
        do throws(IOError) { try records.lock() } catch { throw PublicationError(error.description) }
        let ordered = PublicationRecord.ordered(role.name, in: records)
        let record = body(state, PublicationRecord.read(role.name, in: records), ordered)
        try record.write(in: records)
        return record
    }

    private func opened(
        _ open: () throws(IOError) -> OpenFolder
    ) throws(PublicationError) -> OpenFolder {
        do throws(IOError) { return try open() } catch {
            throw PublicationError("\(error); the daemon makes this folder when it starts")
        }
    }

    private func publish(
        _ state: borrowing OpenFolder, after before: PublicationRecord?, ordered: String?, isDemanded: Bool
    ) -> PublicationRecord {
        let material: PublishedMaterial
        do throws(PublicationError) {
            material = try PublishedMaterial.current(of: role, configuration, state: state)
        } catch { return failure(nil, after: before, error) }
        let isSame = before?.digest == material.digest
        if isSame, before?.outcome == .withheld, !isDemanded {
            return PublicationRecord(
                role: role.name, .withheld, material, held: before?.held, reason: before?.reason)
        }
        let now = Double(Timestamp.now.seconds)
        if !isDemanded, let before,
            let time = before.opening(of: configuration.window, for: material, ordered: ordered, at: now)
        {
            return before.postponed(until: time)
        }
        do throws(PublicationError) {
            let folder = try PublishedFolder.open(configuration)
            let isWritten = try folder.holds(material)
            if isWritten, isSame, before?.outcome == .published {
                return PublicationRecord(role: role.name, .published, material)
            }
            if !isWritten { try folder.write(material) }
            try tellReader()
            return PublicationRecord(role: role.name, .published, material, hasChanged: true)
        } catch { return failure(material, after: before, error) }
    }

    private func failure(
        _ material: PublishedMaterial?, after before: PublicationRecord?, _ error: PublicationError
    ) -> PublicationRecord {
        PublicationRecord(role: role.name, .failed, material, held: before?.held, reason: error.description)
    }

    // MARK: the reader

    private static let environment = [
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
    ]

    /// What the command says goes where this program's own words go.
    private func tellReader() throws(PublicationError) {
        guard let program = configuration.reload.first else { return }
        let ending: ChildProcess.Ending?
        do throws(IOError) {
            let nothing = try Files.openForReading("/dev/null")
            let child = try ChildProcess(
                program, Array(configuration.reload.dropFirst()), environment: Self.environment, directory: "/",
                input: nothing.rawValue, leadsGroup: true)
            ending = child.wait(within: configuration.reloadTimeout)
        } catch { throw PublicationError("reload: \(error)") }
        switch ending {
        case .exited(0): return
        case .exited(let status): throw PublicationError("reload: \(program) ended with exit status \(status)")
        case .signalled(let number): throw PublicationError("reload: \(program) was ended by signal \(number)")
        case nil:
            let limit = configuration.reloadTimeout.components.seconds
            throw PublicationError("reload: \(program) did not end within \(limit) s, and was killed")
        }
    }
}
