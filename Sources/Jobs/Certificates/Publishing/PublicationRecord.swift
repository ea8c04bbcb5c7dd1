import FoundationEssentials
import IO
import OpenSSL
import PlaneAPI
import Reports

/// How the last publication of a role went: `publish/<role>.json` in the state folder, written by whoever published and
/// read by the daemon.
package struct PublicationRecord: Codable, Sendable, Equatable {
    package enum Outcome: String, Codable, Sendable {
        /// The files are there, and their reader was told.
        case published
        /// The files may be there; their reader may not know.
        case failed
        /// Somebody put the files of before back: this certificate is not published by itself again.
        case withheld
    }

    /// From when until when a certificate counts, in seconds since 1970, and whom it goes with.
    struct Held: Codable, Sendable, Equatable {
        let notBefore: Int64
        let notAfter: Int64
        /// Of `PublishedMaterial`; nil: nobody knows.
        private(set) var trust: String?

        init(_ leaf: Certificate, trust: String? = nil) {
            (notBefore, notAfter, self.trust) = (leaf.notBefore, leaf.notAfter, trust)
        }

        func going(with trust: String?) -> Held {
            var held = self
            held.trust = trust
            return held
        }

        var validity: Validity { Validity(notBefore: Double(notBefore), notAfter: Double(notAfter)) }
    }

    package static let folder = "publish"
    private static let sizeLimit = 64 << 10

    private(set) var schema = 1
    package let role: String
    package let outcome: Outcome
    /// Of `PublishedMaterial`; nil where there was none.
    package let digest: String?
    package let serial: String?
    package let reason: String?
    /// What its reader has, as far as it is known.
    let held: Held?
    /// Whether files were written or their reader was told this time.
    package private(set) var hasChanged: Bool
    /// Another certificate waits until then, in seconds since 1970.
    package private(set) var postponedUntil: Int64?
    /// Seconds since 1970.
    package let time: Int64

    init(
        role: String, _ outcome: Outcome, _ material: PublishedMaterial?, held: Held? = nil, reason: String? = nil,
        hasChanged: Bool = false, time: Int64 = Timestamp.now.seconds
    ) {
        self.held = outcome == .published ? material.map { Held($0.identity.leaf, trust: $0.trust) } : held
        (self.role, self.outcome, self.reason, self.time) = (role, outcome, reason, time)
        (digest, serial) = (material?.digest, material?.identity.leaf.serial)
        self.hasChanged = hasChanged
    }

    /// The same: nothing was done this time.
    func postponed(until time: Double) -> PublicationRecord {
        var record = self
        (record.hasChanged, record.postponedUntil) = (false, Int64(time))
        return record
    }

    /// When `material` may take the place of what is there, in seconds since 1970; nil: at once. What lies there
    /// already is only made whole.
    ///
    /// Other authorities wait for no window: a change of root goes on meanwhile, and ends with the old one dropped. Nor
    /// does a certificate that somebody ordered (`ordered`, its serial number), as one whose key is lost.
    func opening(
        of window: MaintenanceWindow?, for material: PublishedMaterial, ordered: String?, at now: Double
    ) -> Double? {
        guard let window, let held, outcome != .published || material.digest != digest,
            held.trust == material.trust, ordered != material.identity.leaf.serial
        else { return nil }
        return window.opening(for: held.validity, at: now)
    }

    // MARK: orders

    private static func orderName(_ role: String) -> String { "\(role).ordered" }

    /// Written by the daemon before it hands the certificate out.
    static func noteOrder(of serial: String, _ role: String, stateDirectory: String) throws(IOError) {
        let folder = "\(stateDirectory)/\(Self.folder)"
        try Files.makeDirectory(folder, mode: 0o700)
        try Files.write(Array(serial.utf8), to: "\(folder)/\(orderName(role))", mode: 0o600)
    }

    /// The serial number of the certificate of the role that was ordered last.
    static func ordered(_ role: String, in folder: borrowing OpenFolder) -> String? {
        (try? folder.read(orderName(role), limit: 256).bytes).map { String(decoding: $0, as: UTF8.self) }
    }

    package static func name(of role: String) -> String { "\(role).json" }

    /// nil: there is none that could be read; then its role counts as never published.
    static func read(_ role: String, in folder: borrowing OpenFolder) -> PublicationRecord? {
        guard let bytes = try? folder.read(name(of: role), limit: sizeLimit).bytes else { return nil }
        return try? JSONDecoder().decode(PublicationRecord.self, from: Data(bytes))
    }

    /// For the owner of the folder, the daemon.
    func write(in folder: borrowing OpenFolder) throws(PublicationError) {
        do {
            let bytes = try StateJSON.encode(self)
            let entry = try folder.look()
            try folder.draft(
                Self.name(of: role), bytes.span, mode: 0o600, owner: entry.owner, group: entry.group)
            try folder.adopt(Self.name(of: role))
            try folder.synchronize()
        } catch {
            throw PublicationError("how it went cannot be written down: \(error)")
        }
    }
}
