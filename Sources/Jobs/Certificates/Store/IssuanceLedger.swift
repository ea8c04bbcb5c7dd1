import FoundationEssentials
import Glibc
import IO

/// What must be known of requests after a restart, too: when certificates were issued, and how often each token was
/// refused. One small file, replaced whole: `issuances.json` in the state folder.
struct IssuanceLedger {
    private struct Contents: Codable {
        var schema = 1
        /// By role; seconds since 1970.
        var issued: [String: [Double]] = [:]
        /// By the token's digest.
        var refusals: [String: Int] = [:]
    }

    static let name = "issuances.json"
    private static let sizeLimit = 4 << 20
    private static let tokenLimit = 64

    private let path: String
    private let quarantinePath: String
    private var contents = Contents()

    init(stateDirectory: String) {
        path = "\(stateDirectory)/\(Self.name)"
        quarantinePath = stateDirectory + "/quarantine"
    }

    func issuances(of role: String) -> [Double] { contents.issued[role] ?? [] }
    func refusals(ofToken digest: String) -> Int { contents.refusals[digest] ?? 0 }

    /// What was wrong with the file, and where it is now; nil if it could be read, or is not there.
    mutating func load() throws(StoreError) -> (reason: String, place: String)? {
        let bytes: [UInt8]
        do throws(IOError) {
            bytes = try Files.read(path, limit: Self.sizeLimit)
        } catch {
            if error.code == ENOENT { return nil }
            guard error.meansDamage else { throw StoreError(error) }
            return ("\(error)", try quarantine())
        }
        if let found = try? JSONDecoder().decode(Contents.self, from: Data(bytes)), found.schema == 1 {
            contents = found
            return nil
        }
        return ("it is not the JSON that was written", try quarantine())
    }

    /// `times`: of this role's certificates, as far as they still count.
    mutating func record(_ times: [Double], of role: String) throws(StoreError) {
        contents.issued[role] = times
        try write()
    }

    mutating func recordRefusal(ofToken digest: String) throws(StoreError) {
        let count = refusals(ofToken: digest) + 1
        // A node sees few tokens; those of the past are worth nothing.
        if contents.refusals.count >= Self.tokenLimit { contents.refusals = [:] }
        contents.refusals[digest] = count
        try write()
    }

    private func write() throws(StoreError) {
        let bytes = try StateJSON.encode(contents)
        do throws(IOError) { try Files.write(bytes, to: path, mode: 0o600) } catch { throw StoreError(error) }
    }

    private func quarantine() throws(StoreError) -> String {
        do throws(IOError) {
            try Files.makeDirectory(quarantinePath, mode: 0o700)
            let taken = Set((try? Files.list(quarantinePath)) ?? [])
            let free = (0...).lazy.map { $0 == 0 ? Self.name : "\(Self.name)-\($0)" }.first { !taken.contains($0) }
            let target = "\(quarantinePath)/\(free ?? Self.name)"
            try Files.rename(path, to: target)
            return target
        } catch {
            throw StoreError(error)
        }
    }
}
