import Dispatch
import Glibc

/// Signals as calls on a queue of its own, until it is released.
///
/// Owned by the one who made it, who keeps it for as long as signals are to be heard.
package final class SignalWatch {
    package enum Signal: Int32, Sendable, CaseIterable {
        case terminate = 15
        case interrupt = 2
        case hangUp = 1
    }

    private let sources: [any DispatchSourceSignal]

    /// Returns when the signals are heard. Until then they are ignored, so none of them ends us meanwhile.
    package init(_ signals: [Signal], _ receive: @escaping @Sendable (Signal) -> Void) {
        let queue = DispatchQueue(label: "nodeguard.signals")
        let registered = DispatchGroup()
        sources = signals.map { kind in
            // libdispatch then puts a handler of its own in its place (event_epoll.c), which exec(3) resets: our
            // children do not inherit an ignored signal.
            signal(kind.rawValue, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: kind.rawValue, queue: queue)
            registered.enter()
            source.setRegistrationHandler { registered.leave() }
            source.setEventHandler { receive(kind) }
            source.activate()
            return source
        }
        registered.wait()
    }

    deinit { for source in sources { source.cancel() } }

    /// For the whole process: a pipe whose reader has gone is an error of write(2), not a death.
    package static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
}
