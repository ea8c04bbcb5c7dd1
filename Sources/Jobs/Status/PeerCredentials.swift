import Glibc
import NIOCore

/// Who is at the other end of a unix socket: what the kernel noted when it connected (unix(7), SO_PEERCRED). The
/// process number is for the audit log only; it may be somebody else's by now, so nothing is ever decided by it.
///
/// The layout is that of the kernel's `struct ucred`: three 32-bit integers in this order.
package struct PeerCredentials: Sendable, Equatable {
    package let process: Int32
    package let user: UInt32
    package let group: UInt32

    package init(process: Int32, user: UInt32, group: UInt32) {
        self.process = process
        self.user = user
        self.group = group
    }

    static func read(from channel: any Channel) async throws -> PeerCredentials {
        guard let options = channel as? any SocketOptionProvider else {
            throw ChannelError.operationUnsupported
        }
        return try await options.unsafeGetSocketOption(
            level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED)
        ).get()
    }
}
