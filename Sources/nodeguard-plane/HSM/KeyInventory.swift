import FoundationEssentials
import X509

/// Where each of the plane's keys is that is in use now, as the database has it. No key is looked at.
struct KeyInventory {
    struct Key: Encodable, Equatable {
        /// root, plane, cluster, configuration, wrapping or witness
        let use: String
        let cluster: String?
        /// token, file or, a root's, offline
        let place: String
        /// CKA_ID in hex, or the file's path; of one that is offline, since when.
        let name: String
        /// Of its certificate.
        let serial: String?
        let until: String?
        /// What puts it into the token; nil: nothing does.
        let moves: String?
    }

    let keys: [Key]
    private let hasToken: Bool

    init(_ state: PlaneState) throws {
        hasToken = state.keys.token != nil
        keys = try state.database.read { database in
            let inForce = try AuthoritiesInForce(database)
            let clusters = try state.clusterNames(database)
            let authorities =
                inForce.roots + [inForce.planeIssuer].compactMap { $0 }
                + clusters.flatMap { inForce.intermediates(of: $0).filter { $0.revokedAt == nil } }
            let configurations = try clusters.compactMap { cluster in
                try ConfigurationKey.known(of: cluster, database).map { (cluster, $0) }
            }
            return try authorities.map { record in
                if let since = try OfflineRoot.since(record, database) { return Self.offline(record, since) }
                let isPlane = record.cluster == AuthorityRecord.planeCluster
                return Self.key(
                    record.isRoot ? "root" : isPlane ? "plane" : "cluster", isPlane ? nil : record.cluster,
                    record.keyPlace, record.certificate, "rotate-ca", state)
            }
                + configurations.map { cluster, known in
                    Self.key(
                        "configuration", cluster, known.place, known.certificate,
                        "desired rotate-key --cluster \(cluster)", state)
                } + Self.own(state)
        }
    }

    private static func offline(_ root: AuthorityRecord, _ since: Int64) -> Key {
        Key(
            use: "root", cluster: nil, place: "offline", name: "since \(UnixTime.text(since))",
            serial: root.certificate.serialText, until: UnixTime.text(root.certificate.notAfterSeconds), moves: nil)
    }

    private static func key(
        _ use: String, _ cluster: String?, _ place: KeyPlace, _ certificate: Certificate, _ moves: String,
        _ state: PlaneState
    ) -> Key {
        let (serial, until) = (certificate.serialText, UnixTime.text(certificate.notAfterSeconds))
        return switch place {
        case .token(let id):
            Key(
                use: use, cluster: cluster, place: "token", name: Hex.lower(id), serial: serial, until: until,
                moves: nil)
        case .file(let name):
            Key(
                use: use, cluster: cluster, place: "file", name: state.keys.file(name), serial: serial, until: until,
                moves: moves)
        }
    }

    private static func own(_ state: PlaneState) -> [Key] {
        let wrapping = [state.wrapping.current, state.wrapping.former].compactMap { $0 }.map { key in
            let id = WrappingKey.tokenID(of: key.id)
            return Key(
                use: "wrapping", cluster: nil, place: id == nil ? "file" : "token",
                name: id.map(Hex.lower) ?? StateKeys.wrappingFile(state.directory), serial: nil, until: nil, moves: nil)
        }
        // A file whatever token there is: the plane's own log is signed with it in every transaction, and is to say
        // also that the token is away.
        return wrapping + [
            Key(
                use: "witness", cluster: nil, place: "file", name: StateKeys.witnessFile(state.directory), serial: nil,
                until: nil, moves: nil)
        ]
    }

    /// files, token, or both; of those that a token can hold.
    var summary: String {
        let places = Set(keys.filter { $0.use != "witness" && $0.place != "offline" }.map(\.place))
        return places == ["token"] ? "token" : places == ["file"] ? "files" : "token and files"
    }

    /// What an operator should know who thinks that no key can be copied, a line each.
    var warnings: [String] {
        guard hasToken else {
            return ["the keys are files: whoever reads the state folder has them (`run --hsm` keeps them in a token)"]
        }
        return keys.filter { $0.place == "file" && $0.use != "witness" }.map { key in
            let whose = key.cluster.map { " of \($0)" } ?? ""
            guard let moves = key.moves else {
                return "\(key.name) opens the backups that were made before the token: it stays a file"
            }
            return "the \(key.use) key\(whose) is in \(key.name) and stays there: its successor is made in the token "
                + "by `nodeguard-plane \(moves)`"
        }
    }
}
