import FoundationEssentials
import Glibc

/// Everything the plane knows: one folder (0700) with a file (0600) for each secret key that is in no token, and the
/// database, in the same folder or a PostgreSQL one. Several processes may have it open at once, so every decision is
/// one transaction that no other writes beside.
struct PlaneState: Sendable {
    let directory: String
    let database: PlaneStore
    let keys: KeyHome
    let wrapping: WrappingKeys
    let witness: WitnessKey
    /// The root's, in PEM, where somebody brought it for this process alone.
    private(set) var rootKey: String?

    func with(rootKey: String) -> PlaneState {
        var state = self
        state.rootKey = rootKey
        return state
    }

    /// Opens the folder and its database; `creating` makes what is missing. `database`: nil for the one that the folder
    /// names (`PostgresAddress.named`), or else a file in it. `hsm`: the token that keys are to be in from now on; nil
    /// for the one that the folder names, or else none.
    static func open(
        _ directory: String, creating: Bool = false, database: PostgresAddress? = nil, hsm: TokenAddress? = nil
    ) throws -> PlaneState {
        umask(0o077)
        let address = try database ?? PostgresAddress.named(in: directory)
        let path = directory + "/plane.sqlite"
        let hasKeys = StateKeys.areIn(directory)
        if address == nil ? !StateFile.exists(path) : !hasKeys {
            guard creating else {
                throw PlaneProblem(
                    "\(directory) holds no plane", remedy: "start one with `nodeguard-plane run --state \(directory) …`"
                )
            }
            guard !hasKeys else {
                throw PlaneProblem(
                    "\(directory) holds a plane's keys but not its database",
                    remedy: "restore plane.sqlite from your copy, or name the database with --database")
            }
            try StateFile.makeFolder(directory)
            try StateFile.makeFolder(directory + "/authorities")
        }
        let store = try address.map { try openShared($0) } ?? openDatabase(path)
        let (home, moved) = try home(in: directory, hsm, store)
        let keys = try store.write { database in
            if address != nil { try StateKeys.requireSame(hasKeys, directory, database) }
            let keys = try StateKeys.load(from: home, database: database)
            let log = PlaneLog(key: keys.witness)
            try log.beginIfNew(now: UnixTime.now, database)
            if let news = keys.news ?? moved { try log.record(news, now: UnixTime.now, database) }
            return keys
        }
        let state = PlaneState(
            directory: directory, database: store, keys: home, wrapping: keys.wrapping, witness: keys.witness)
        if address != nil { try state.requireAuthorities() }
        return state
    }

    /// Another token than before, or another way to it, must have all keys that the database says are in one: then it
    /// stands in the folder, for every verb.
    private static func home(
        in directory: String, _ hsm: TokenAddress?, _ store: PlaneStore
    ) throws -> (KeyHome, PlaneEvent?) {
        let named = try TokenAddress.named(in: directory)
        guard let address = hsm ?? named else {
            return (KeyHome(directory: directory, token: nil), nil)
        }
        let home = KeyHome(directory: directory, token: KeyToken(address, directory: directory))
        guard address != named else { return (home, nil) }
        try home.requireToken(holding: store.read { try StateKeys.namesInToken($0) })
        try address.write(in: directory)
        let detail = "the keys are found in \(address.name) by another URI than before"
        return (home, PlaneEvent(name: "hsm.move", actor: .caller, detail: detail))
    }

    /// Opens the token, if there is one, and looks for every key that is to be in it.
    func requireToken() throws { try keys.requireToken(holding: database.read { try StateKeys.namesInToken($0) }) }

    private static func openDatabase(_ path: String) throws -> PlaneStore {
        do {
            let store = try PlaneStore.sqlite(path: path)
            try PlaneSchema.migrator.migrate(store)
            return store
        } catch {
            throw PlaneProblem("cannot open \(path)", remedy: "\(error); check owner, mode and free space")
        }
    }

    private static func openShared(_ address: PostgresAddress) throws -> PlaneStore {
        do {
            let store = PlaneStore.postgresql(address)
            try PlaneSchema.migrator.migrate(store)
            return store
        } catch {
            throw PlaneProblem(
                "cannot open \(address.description)",
                remedy: "\(error); is it there, and may this user make tables in it?")
        }
    }

    /// A folder that is a copy from before a cluster was made could not serve it.
    private func requireAuthorities() throws {
        try database.read { database in
            let inForce = try AuthoritiesInForce(database)
            for cluster in try clusterNames(database) {
                for authority in inForce.intermediates(of: cluster) { _ = try authority.load(from: self, database) }
            }
        }
    }

    /// The plane's own audit log.
    var log: PlaneLog { PlaneLog(key: witness) }

    // MARK: Clusters

    func clusterNames(_ database: Database) throws -> [String] {
        try String.fetchAll(database, sql: "SELECT name FROM clusters ORDER BY name")
    }

    /// Makes the cluster's intermediate, one under each trusted root.
    func createCluster(_ name: String, now: Int64, _ database: Database) throws {
        let roots = try AuthoritiesInForce(database).roots
        // The first column's word is that of the table `authorities` since there is one.
        let made = try roots.map { try addIntermediate(of: name, under: $0, now: now, database) }
        try database.execute(
            sql: "INSERT INTO clusters (name, certificate, created_at) VALUES (?, ?, ?)",
            arguments: [name, Data(made.first?.der ?? []), now])
    }

    @discardableResult
    func addIntermediate(
        of cluster: String, under root: AuthorityRecord, now: Int64, _ database: Database
    ) throws -> AuthorityRecord {
        let authority = try root.load(from: self, database).makeIntermediate(
            keys.make("cluster \(cluster)"), cluster: cluster, now: now)
        return try AuthorityRecord.add(
            authority, cluster: cluster, root: root.id, keys: keys, now: now, database)
    }

    func requireCluster(_ name: String, _ database: Database) throws {
        let known = try clusterNames(database)
        if known.contains(name) { return }
        throw PlaneProblem(
            "there is no cluster \(name)",
            remedy:
                "known are [\(known.joined(separator: ", "))]; make it with `nodeguard-plane cluster create \(name)`")
    }

    // MARK: Nodes and settings

    func invite(node: String, of cluster: String, now: Int64, _ database: Database) throws {
        try database.execute(
            sql:
                "INSERT INTO nodes (cluster, name, created_at) VALUES (?, ?, ?) ON CONFLICT (cluster, name) DO NOTHING",
            arguments: [cluster, node, now])
    }

    static func setting(_ name: String, _ database: Database) throws -> Data? {
        try Data.fetchOne(database, sql: "SELECT value FROM settings WHERE name = ?", arguments: [name])
    }

    static func set(_ name: String, to value: Data, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO settings (name, value) VALUES (?, ?)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value
                """,
            arguments: [name, value])
    }

    /// Where join bundles send new nodes: what the running plane listens on.
    static let urlSetting = "url"
}

/// The wall clock, in whole seconds since 1970.
enum UnixTime {
    static var now: Int64 { Int64(Date().timeIntervalSince1970) }

    static func text(_ seconds: Int64) -> String {
        Date(timeIntervalSince1970: TimeInterval(seconds)).formatted(.iso8601)
    }
}

enum Hex {
    static func lower(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    static func upper(_ bytes: some Sequence<UInt8>) -> String { lower(bytes).uppercased() }

    static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index..<(index + 2)], as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        return bytes
    }
}
