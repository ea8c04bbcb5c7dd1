/// Whoever keeps listening sockets while this process is restarted, so that no client is refused meanwhile.
package struct PortKeeper: Sendable {
    /// A socket that was kept under this name and listens on this address (any port, if it is 0); each but once.
    package let take: @Sendable (_ name: String, _ address: SocketAddress) -> ListeningSocket?
    /// Takes a duplicate of the descriptor.
    package let keep: @Sendable (_ name: String, _ descriptor: Int32) -> Void
    /// Lets go of everything under this name.
    package let forget: @Sendable (_ name: String) -> Void
    /// Lets go of what nobody took.
    package let forgetRest: @Sendable () -> Void

    package init(
        take: @escaping @Sendable (String, SocketAddress) -> ListeningSocket?,
        keep: @escaping @Sendable (String, Int32) -> Void, forget: @escaping @Sendable (String) -> Void,
        forgetRest: @escaping @Sendable () -> Void
    ) {
        self.take = take
        self.keep = keep
        self.forget = forget
        self.forgetRest = forgetRest
    }

    package static let none = PortKeeper(take: { _, _ in nil }, keep: { _, _ in }, forget: { _ in }, forgetRest: {})
}
