import IO
import Proxy

extension NodeConfiguration {
    /// The rules of every listener by its name, with the files that they name.
    func accessPolicies() throws(ConfigurationFileError) -> [String: AccessPolicy] {
        var policies: [String: AccessPolicy] = [:]
        for listener in proxy.listeners { policies[listener.name] = try listener.policy() }
        return policies
    }

    /// What is wrong with the files that listeners' rules name, one line each.
    var ruleFileMistakes: [String] {
        proxy.listeners.compactMap { listener in
            do throws(ConfigurationFileError) {
                _ = try listener.policy()
                return nil
            } catch { return error.description }
        }
    }
}

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
            throw ConfigurationFileError(description: "listener \(name): database-user-map: \(error)")
        }
        do throws(DatabaseUserMap.Mistake) { return try DatabaseUserMap(bytes) } catch {
            let place = error.line.map { ":\($0)" } ?? ""
            throw ConfigurationFileError(description: "\(path)\(place): \(error.reason) (listener \(name))")
        }
    }
}
