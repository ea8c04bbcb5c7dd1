import Crypto
import FoundationEssentials

/// The plane's own secrets, one file each, and the record in the database of which they are. Made once, all together; a
/// file that is missing later is never replaced in silence, because what hangs from it would be lost.
struct StateKeys {
    let wrapping: WrappingKey
    let witness: WitnessKey

    private static let wrappingSetting = "wrapping-key"
    private static let witnessSetting = "witness-key"

    /// Within one immediate transaction: two processes that start together agree on the same keys.
    static func load(from directory: String, database: Database) throws -> StateKeys {
        guard let root = try AuthoritiesInForce(database).planeRoot else {
            return try create(in: directory, database: database)
        }
        if try OfflineRoot.since(root, database) == nil {
            _ = try CertificateAuthority(certificate: root.certificate, keyFile: root.keyPath(in: directory))
        }
        let wrapping = try WrappingKey(file: wrappingFile(directory))
        guard try PlaneState.setting(wrappingSetting, database) == Data(wrapping.id.utf8) else {
            throw PlaneProblem(
                "\(wrappingFile(directory)) is another key than the one that wrapped the backups' keys",
                remedy: "restore the right file")
        }
        let witness = try WitnessKey(file: witnessFile(directory))
        guard try PlaneState.setting(witnessSetting, database) == witness.publicKey else {
            throw PlaneProblem(
                "\(witnessFile(directory)) is another key than the one that cosigned before",
                remedy: "restore the right file")
        }
        return StateKeys(wrapping: wrapping, witness: witness)
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

    private static func create(in directory: String, database: Database) throws -> StateKeys {
        let now = UnixTime.now
        _ = try AuthorityRecord.add(
            try CertificateAuthority.makeRoot(now: now), cluster: nil, root: nil, directory: directory, now: now,
            database)
        let wrapping = try WrappingKey.create(file: wrappingFile(directory))
        let witness = try WitnessKey.create(file: witnessFile(directory))
        try PlaneState.set(wrappingSetting, to: Data(wrapping.id.utf8), database)
        try PlaneState.set(witnessSetting, to: witness.publicKey, database)
        return StateKeys(wrapping: wrapping, witness: witness)
    }

    private static func rootFile(_ directory: String) -> String { directory + "/authorities/root.key" }
    private static func wrappingFile(_ directory: String) -> String { directory + "/wrapping.key" }
    private static func witnessFile(_ directory: String) -> String { directory + "/witness.key" }
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
