import Crypto
import FoundationEssentials

/// The plane's own secrets, and the record in the database of which they are. Made once, all together; one that is
/// missing later is never replaced in silence, because what hangs from it would be lost.
struct StateKeys {
    let wrapping: WrappingKeys
    let witness: WitnessKey
    /// That a token was taken into use just now.
    var news: PlaneEvent?

    private static let wrappingSetting = "wrapping-key"
    /// The file's, of a plane that got its token later.
    private static let formerWrappingSetting = "wrapping-key-former"
    private static let witnessSetting = "witness-key"

    /// Within one immediate transaction: two processes that start together agree on the same keys.
    static func load(from home: KeyHome, database: Database) throws -> StateKeys {
        guard let root = try AuthoritiesInForce(database).planeRoot else {
            return try create(in: home, database: database)
        }
        if try OfflineRoot.since(root, database) == nil { _ = try root.load(from: home) }
        let (wrapping, news) = try loadWrapping(home, database)
        let witness = try WitnessKey(file: witnessFile(home.directory))
        guard try PlaneState.setting(witnessSetting, database) == witness.publicKey else {
            throw PlaneProblem(
                "\(witnessFile(home.directory)) is another key than the one that cosigned before",
                remedy: "restore the right file")
        }
        return StateKeys(wrapping: wrapping, witness: witness, news: news)
    }

    /// Where a token is named and the key is still a file's, the token makes another, which wraps from now on.
    private static func loadWrapping(
        _ home: KeyHome, _ database: Database
    ) throws -> (WrappingKeys, PlaneEvent?) {
        let id = try PlaneState.setting(wrappingSetting, database).map { String(decoding: $0, as: UTF8.self) } ?? ""
        guard WrappingKey.tokenID(of: id) == nil else {
            let former = try PlaneState.setting(formerWrappingSetting, database)
                .map { try wrappingInFile(home.directory, named: String(decoding: $0, as: UTF8.self)) }
            let current = try WrappingKey(named: id, in: try home.tokenThatIsNeeded())
            return (WrappingKeys(current: current, former: former), nil)
        }
        let inFile = try wrappingInFile(home.directory, named: id)
        guard let token = home.token else { return (WrappingKeys(current: inFile, former: nil), nil) }
        let current = try WrappingKey.create(in: token)
        try PlaneState.set(formerWrappingSetting, to: Data(id.utf8), database)
        try PlaneState.set(wrappingSetting, to: Data(current.id.utf8), database)
        return (WrappingKeys(current: current, former: inFile), news(of: token, "keys that are files stay so"))
    }

    private static func wrappingInFile(_ directory: String, named id: String) throws -> WrappingKey {
        let key = try WrappingKey(file: wrappingFile(directory))
        guard key.id == id else {
            throw PlaneProblem(
                "\(wrappingFile(directory)) is another key than the one that wrapped the backups' keys",
                remedy: "restore the right file")
        }
        return key
    }

    private static func news(of token: KeyToken, _ words: String) -> PlaneEvent {
        PlaneEvent(name: "hsm.begin", actor: .caller, detail: "new keys are made in \(token.address.name); \(words)")
    }

    /// Whether a plane had its keys in this folder before.
    static func areIn(_ directory: String) -> Bool {
        [rootFile, wrappingFile, witnessFile].contains { StateFile.exists($0(directory)) }
    }

    /// A folder and a database that are apart must belong together. `hasKeys`: as it was before the transaction, which
    /// may run again.
    static func requireSame(_ hasKeys: Bool, _ directory: String, _ database: Database) throws {
        let isNew = try AuthoritiesInForce(database).planeRoot == nil
        if isNew, hasKeys {
            throw PlaneProblem(
                "\(directory) holds the keys of a plane, and the database is empty",
                remedy: "name the database of that plane, or take another folder for a new one (if this plane's very "
                    + "first start was cut off, remove the folder)")
        }
        if !isNew, !hasKeys {
            throw PlaneProblem(
                "the database is that of a plane whose keys are not in \(directory)",
                remedy: "copy the state folder of that plane to here, with owner and modes")
        }
    }

    private static func create(in home: KeyHome, database: Database) throws -> StateKeys {
        let now = UnixTime.now
        _ = try AuthorityRecord.add(
            try CertificateAuthority.makeRoot(home.make("root"), now: now), cluster: nil, root: nil, keys: home,
            now: now, database)
        let wrapping =
            try home.token.map { try WrappingKey.create(in: $0) }
            ?? WrappingKey.create(file: wrappingFile(home.directory))
        let witness = try WitnessKey.create(file: witnessFile(home.directory))
        try PlaneState.set(wrappingSetting, to: Data(wrapping.id.utf8), database)
        try PlaneState.set(witnessSetting, to: witness.publicKey, database)
        return StateKeys(
            wrapping: WrappingKeys(current: wrapping, former: nil), witness: witness,
            news: home.token.map { news(of: $0, "the root and the wrapping key are there") })
    }

    /// Of all keys that the database says are in the token and that may be signed with yet: those of a root that was
    /// dropped, and under it, may be destroyed.
    static func namesInToken(_ database: Database) throws -> [[UInt8]] {
        let authorities = try AuthoritiesInForce(database).verifying.compactMap(\.keyPlace.tokenID)
        let configurations = try String.fetchAll(database, sql: "SELECT cluster FROM configuration_keys")
            .compactMap { try ConfigurationKey.known(of: $0, database)?.place.tokenID }
        let wrapping = try PlaneState.setting(wrappingSetting, database)
            .flatMap { WrappingKey.tokenID(of: String(decoding: $0, as: UTF8.self)) }
        return authorities + configurations + [wrapping].compactMap { $0 }
    }

    private static func rootFile(_ directory: String) -> String { directory + "/authorities/root.key" }
    static func wrappingFile(_ directory: String) -> String { directory + "/wrapping.key" }
    static func witnessFile(_ directory: String) -> String { directory + "/witness.key" }
}

/// 32 secret bytes in a file, as hex and a newline.
enum KeyFile {
    static func create(_ path: String, _ bytes: some Sequence<UInt8>) throws {
        try StateFile.write(Array((Hex.lower(bytes) + "\n").utf8), to: path)
    }

    static func read(_ path: String) throws -> [UInt8] {
        guard StateFile.exists(path) else {
            throw PlaneProblem("\(path) is missing", remedy: "restore it from your copy; it cannot be made again")
        }
        let text = String(decoding: try StateFile.read(path), as: UTF8.self)
        guard let bytes = Hex.decode(text.trimmingPrefix { $0.isWhitespace }.prefix { !$0.isWhitespace }),
            bytes.count == 32
        else {
            throw PlaneProblem("\(path) is not a key of 64 hex digits", remedy: "restore it from your copy")
        }
        return bytes
    }
}
