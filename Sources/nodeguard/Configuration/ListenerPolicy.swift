import IO
import Proxy

/// A file that the configuration names cannot be used.
struct ConfigurationFileError: Error, Sendable, CustomStringConvertible {
    let description: String
}

extension ListenerSection {
    func policy() throws(ConfigurationFileError) -> AccessPolicy {
        AccessPolicy(
            allow: allow.map(\.rule), deny: deny.map(\.rule),
            users: try databaseUserMap.map { (path) throws(ConfigurationFileError) in try users(in: path) }, mode: mode)
    }

    private func users(in path: String) throws(ConfigurationFileError) -> DatabaseUserMap {
        let bytes: [UInt8]
        do throws(IOError) {
            bytes = try Files.read(path, limit: DatabaseUserMap.sizeLimit)
        } catch {
            throw ConfigurationFileError(description: "database-user-map: \(error)")
        }
        do throws(DatabaseUserMap.Mistake) { return try DatabaseUserMap(bytes) } catch {
            let place = error.line.map { ":\($0)" } ?? ""
            throw ConfigurationFileError(description: "database-user-map \(path)\(place): \(error.reason)")
        }
    }
}
