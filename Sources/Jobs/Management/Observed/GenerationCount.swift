import FoundationEssentials
import Glibc
import IO

/// The number of the node's last report, in `observed.json` of the state folder: written before the report is sent, so
/// that no two reports of one folder have the same, and that a folder that was set back gives itself away.
struct GenerationCount {
    private struct Contents: Decodable {
        let schema: Int
        let generation: Int64
    }

    static let name = "observed.json"
    private static let sizeLimit = 4096

    private let path: String
    private(set) var last: Int64 = 0
    private var isLoaded = false

    init(stateDirectory: String) { path = "\(stateDirectory)/\(Self.name)" }

    /// The next number, on the disk. Where the disk refuses, it still counts up: `flaw` says why a number may be given
    /// again after a restart.
    mutating func next() -> (generation: Int64, flaw: String?) {
        var flaw: String?
        do throws(IOError) {
            if !isLoaded { flaw = try load() }
            last += 1
            try Files.write(Array("{\"generation\":\(last),\"schema\":1}\n".utf8), to: path, mode: 0o600)
        } catch {
            if !isLoaded { last += 1 }
            flaw = error.description
        }
        return (last, flaw)
    }

    /// What is wrong with the file. One that only cannot be read is not written over.
    private mutating func load() throws(IOError) -> String? {
        let bytes: [UInt8]
        do throws(IOError) {
            bytes = try Files.read(path, limit: Self.sizeLimit)
        } catch {
            if ![ENOENT, EFBIG].contains(error.code) { throw error }
            isLoaded = true
            return error.code == ENOENT ? nil : "\(error): it begins anew"
        }
        isLoaded = true
        guard let found = try? JSONDecoder().decode(Contents.self, from: Data(bytes)), found.schema == 1,
            (1..<Int64.max).contains(found.generation)
        else { return "\(path) is not what was written there: it begins anew" }
        last = max(last, found.generation)
        return nil
    }
}
