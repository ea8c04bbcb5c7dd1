import IO
import OpenSSL
import Reports

/// One role that is published: its machine, and what is known of it. Lives in the job's actor.
final class PublishedRole {
    let role: RoleConfiguration
    let configuration: PublicationConfiguration
    let isByUnit: Bool
    var machine: PublicationStateMachine
    var identity: TLSIdentity?
    var authorities: [Certificate]?
    /// Of the record that was heard last.
    var mark: FileMark?
    var mustTellAgain = false
    var served: Certificate?
    var reason: String?
    /// When it was published last, in seconds since 1970.
    var time: Int64?

    init(
        _ role: RoleConfiguration, _ configuration: PublicationConfiguration, isByUnit: Bool, patience: Double,
        _ times: PublicationStateMachine.Times
    ) {
        (self.role, self.configuration, self.isByUnit) = (role, configuration, isByUnit)
        machine = PublicationStateMachine(hasCheck: configuration.check != nil, patience: patience, times: times)
    }

    /// nil: something of it is not there yet.
    var material: PublishedMaterial? {
        guard let identity else { return nil }
        guard configuration.names.authorities != nil else {
            return PublishedMaterial(identity: identity, authorities: nil)
        }
        return authorities.map { PublishedMaterial(identity: identity, authorities: $0) }
    }

    var digest: String? { material?.digest }

    var document: JSONValue {
        var members: [String: JSONValue] = [
            "directory": .string(configuration.directory), "by": .string(isByUnit ? "unit" : "daemon"),
            "state": .string(machine.phase.rawValue),
        ]
        if let check = configuration.check { members["check"] = .string(check.address) }
        if let served {
            members["served_serial"] = .string(served.serial)
            members["served_fingerprint"] = .string(Hexadecimal.text(served.fingerprint))
        }
        if let reason { members["reason"] = .string(reason) }
        if let time { members["published_at"] = .string(Timestamp(seconds: time).description) }
        return .object(members)
    }
}
