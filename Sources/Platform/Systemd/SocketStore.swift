import CSystemd
import Glibc
import IO
import Synchronization

/// Listening sockets in the service manager's descriptor store (FileDescriptorStoreMax= in systemd.service(5)): it
/// holds them over a restart, and clients wait in their backlog instead of being refused.
///
/// Safe from any thread.
package final class SocketStore: Sendable {
    private struct Inherited {
        let name: String
        let raw: Int32
    }

    private let inherited: Mutex<[Inherited]>

    /// What the service manager gave to this process when it started it (sd_listen_fds_with_names(3)). Once a process.
    package convenience init() {
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = sd_listen_fds_with_names(0, &names)
        var all: [(String, Int32)] = []
        for index in 0..<max(0, Int(count)) {
            guard let name = names?[index] else { continue }
            all.append((String(cString: name), SD_LISTEN_FDS_START + Int32(index)))
            free(name)
        }
        free(names)
        self.init(inherited: all.filter { $0.0.hasPrefix(Self.prefix) })
    }

    init(inherited: [(String, Int32)]) {
        self.inherited = Mutex(inherited.map { Inherited(name: $0.0, raw: $0.1) })
    }

    deinit { for one in inherited.withLock({ $0 }) { close(one.raw) } }

    /// Tells ports from other sockets that we are given. A name there has no colon (sd_pid_notify_with_fds(3)).
    private static let prefix = "listener-"

    /// What FileDescriptorName= of a .socket unit must say for a port of this listener.
    package static func descriptorName(ofListener name: String) -> String { prefix + name }

    package var ports: PortKeeper {
        PortKeeper(
            take: { [self] in take(Self.prefix + $0, $1) },
            keep: { name, descriptor in Self.tell("FDSTORE=1\nFDNAME=\(Self.prefix)\(name)", descriptor) },
            forget: { Self.tell("FDSTOREREMOVE=1\nFDNAME=\(Self.prefix)\($0)") },
            forgetRest: { [self] in forgetRest() })
    }

    private func take(_ name: String, _ address: SocketAddress) -> ListeningSocket? {
        let raw = inherited.withLock { inherited -> Int32? in
            let found = inherited.firstIndex { $0.name == name && ListeningSocket.listens($0.raw, on: address) }
            return found.map { inherited.remove(at: $0).raw }
        }
        return raw.map { ListeningSocket(adopting: $0, address) }
    }

    private func forgetRest() {
        let rest = inherited.withLock { inherited in
            defer { inherited = [] }
            return inherited
        }
        for one in rest { close(one.raw) }
        for name in Set(rest.map(\.name)) { Self.tell("FDSTOREREMOVE=1\nFDNAME=\(name)") }
    }

    private static func tell(_ state: String, _ descriptor: Int32? = nil) {
        guard let descriptor else {
            _ = sd_notify(0, state)
            return
        }
        withUnsafePointer(to: descriptor) { _ = sd_pid_notify_with_fds(0, 0, state, $0, 1) }
    }
}
