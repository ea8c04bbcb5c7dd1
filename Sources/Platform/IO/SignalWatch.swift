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

    package init(_ signals: [Signal], _ receive: @escaping @Sendable (Signal) -> Void) {
        let queue = DispatchQueue(label: "nodeguard.signals")
        sources = signals.map { kind in
            // A source sees a signal even if it is ignored, and ignoring it keeps the default action from ending us.
            signal(kind.rawValue, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: kind.rawValue, queue: queue)
            source.setEventHandler { receive(kind) }
            source.activate()
            return source
        }
    }

    deinit { for source in sources { source.cancel() } }

    /// For the whole process: a pipe whose reader has gone is an error of write(2), not a death.
    package static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
}
