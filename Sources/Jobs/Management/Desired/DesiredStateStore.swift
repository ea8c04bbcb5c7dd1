import Glibc
import IO
import PlaneAPI

/// The desired state that was applied last, as it came: `desired/envelope.json` in the state folder.
///
/// There is one only: an older one in place of a damaged one would let in again who was denied since.
package struct DesiredStateStore: Sendable {
    private let state: String

    package init(stateDirectory: String) { state = stateDirectory }

    private var folder: String { state + "/desired" }
    package var path: String { folder + "/envelope.json" }

    /// nil: none was ever applied.
    func load() throws(IOError) -> [UInt8]? {
        do throws(IOError) {
            return try Files.read(path, limit: DesiredState.sizeLimit)
        } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
    }

    func save(_ envelope: [UInt8]) throws(IOError) {
        try Files.makeDirectory(folder, mode: 0o700)
        try Files.write(envelope, to: path, mode: 0o600)
    }
}
