import FoundationEssentials

/// One volume as it was stored.
package struct VolumeRecord: Codable, Equatable, Sendable {
    package let number: Int
    /// Bytes of the stored message, and of what is in it.
    package let length: Int64
    package let plaintextLength: Int64
    package let frames: Int
    /// CRC-32C of the stored bytes, eight hexadecimal digits.
    package let crc32c: String
    /// SHA-256 over the GCM tags of all frames in order: binds this very message without hashing all its bytes again.
    package let tagsSHA256: String
}

/// How the stream came to its end, as the one who started the producer told it.
package struct ProducerRecord: Codable, Equatable, Sendable {
    /// The command of `run`; nothing for a stream from standard input.
    package let command: [String]?
    /// 0, for a backup whose producer failed is not made; nothing where nobody knows how it ended, as of a pipe.
    package let status: Int32?
}

/// The sealed trailer of a backup, written last: a backup exists if and only if this does. All that a reader believes
/// about a backup comes from here.
package struct Manifest: Codable, Equatable, Sendable {
    package static let schema = "nodeguard.backup/1"

    package let schema: String
    package let backup: String
    package let cluster: String
    package let node: String
    package let name: String
    package let startedAt: String
    package let completedAt: String
    package let keyName: String
    package let compression: String
    package let frameLength: Int
    package let plaintextLength: Int64
    package let ciphertextLength: Int64
    package let frames: Int
    package let volumes: [VolumeRecord]
    package let producer: ProducerRecord
    package let version: String

    /// Sums and numbers agree with each other. The manifest is authenticated, so a failure here is a fault of ours.
    var contradiction: String? {
        if schema != Self.schema { return "schema \(schema) is not \(Self.schema)" }
        if compression != "none" { return "compression \(compression) is not known" }
        if !StreamLayout.frameLengths.contains(frameLength) { return "frame length \(frameLength) is out of bounds" }
        if volumes.isEmpty || volumes.map(\.number) != Array(0..<volumes.count) {
            return "the volumes are not numbered from 0 without gaps"
        }
        if total(volumes.map(\.plaintextLength)) != plaintextLength { return "plaintext lengths do not add up" }
        if total(volumes.map(\.length)) != ciphertextLength { return "ciphertext lengths do not add up" }
        return total(volumes.map { Int64($0.frames) }) == Int64(frames) ? nil : "frame counts do not add up"
    }
}

/// What anybody may know of a backup: found without any key, so that `list` needs none. Believed by nobody who reads
/// the backup: the sealed manifest is compared with it.
package struct PublicManifest: Codable, Equatable, Sendable {
    package static let schema = "nodeguard.backup-public/1"

    package struct StoredObject: Codable, Equatable, Sendable {
        package let object: String
        package let length: Int64
        package let crc32c: String
    }

    package let schema: String
    package let backup: String
    package let cluster: String
    package let node: String
    package let name: String
    package let startedAt: String
    package let completedAt: String
    package let keyName: String
    package let objects: [StoredObject]

    /// Nothing where `contradiction` has something to say.
    package var storedLength: Int64 { total(objects.map(\.length)) ?? 0 }

    /// Whoever has the target can write this file.
    var contradiction: String? {
        total(objects.map(\.length)) == nil ? "the lengths of its objects do not add up" : nil
    }
}

/// Nothing if one is negative, or if they are more than can be counted.
private func total(_ lengths: [Int64]) -> Int64? {
    var total: Int64 = 0
    for length in lengths {
        let (sum, hasOverflown) = total.addingReportingOverflow(length)
        guard length >= 0, !hasOverflown else { return nil }
        total = sum
    }
    return total
}

/// `keys.json`: the backup key under each wrap that can give it back. Replaceable, unlike all else in a backup.
package struct KeyFile: Codable, Equatable, Sendable {
    package static let schema = "nodeguard.backup-keys/1"
    static let planeKind = "plane"

    package struct Wrap: Codable, Equatable, Sendable {
        /// `planeKind`: the management plane unwraps it.
        package let kind: String
        package let key: String
        package let kek: String
        package let wrapped: Data
    }

    package let schema: String
    package let backup: String
    package let wraps: [Wrap]
}

/// A document that is stored in clear because it says nothing secret. Only these two become one, so that a target
/// cannot be given plaintext by mistake.
package struct PublicDocument: Sendable {
    let bytes: [UInt8]

    init(_ manifest: PublicManifest) throws(BackupError) { bytes = try JSONDocument.encode(manifest) }
    init(_ keys: KeyFile) throws(BackupError) { bytes = try JSONDocument.encode(keys) }
}

/// JSON as this module writes and reads it: sorted keys, dates as text.
enum JSONDocument {
    /// A manifest of 1 TiB in volumes of 1 GiB is about 200 KiB.
    static let byteLimit = 16 << 20

    static func encode(_ value: some Encodable) throws(BackupError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            throw BackupError(.internalFault, "a document could not be written as JSON: \(error)")
        }
    }

    static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: [UInt8], _ what: String
    ) throws(BackupError) -> Value {
        guard bytes.count <= byteLimit else { throw BackupError(.corrupt, "\(what) is longer than \(byteLimit) bytes") }
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw BackupError(.corrupt, "\(what) cannot be read: \(error)")
        }
    }
}
