import IO
import OpenSSL
import Synchronization

/// What a client's first byte asks of the backend.
enum Wish: UInt8 {
    case echo = 0x65
    case download = 0x64
    case upload = 0x75
}

/// What each connection of the load does.
enum Script: Sendable {
    /// Connects, shakes hands, has one byte echoed, and closes in order; then the next one.
    case visits
    /// Sends `Script.exchangeLength` bytes and awaits as many, again and again.
    case exchanges
    case download
    case upload
    /// Has one byte echoed and stays.
    case hold
    /// The same, until the subject ends it, which is noted.
    case waitForEnd
    /// Has the backend send without end, and never reads.
    case stall

    static let exchangeLength = 256

    var wish: Wish {
        switch self {
        case .visits, .exchanges, .hold, .waitForEnd: .echo
        case .download, .stall: .download
        case .upload: .upload
        }
    }

    var isBulk: Bool { self == .download || self == .upload }
}

struct LoadOrder: Sendable {
    var script: Script
    var address: SocketAddress
    /// Taken in turn by the connections; none: plain TCP.
    var contexts: [TLSContext]
    /// Connections at a time; for `hold` and `waitForEnd`, those that are on their way at a time.
    var width: Int
    /// All connections.
    var total: Int
}

/// A number that one thread changes and others read.
final class SharedCount: Sendable {
    private let count = Atomic<Int>(0)

    var value: Int { count.load(ordering: .relaxed) }
    func add(_ change: Int) { count.wrappingAdd(change, ordering: .relaxed) }
}

/// What others may ask about the load at any time.
final class LoadProgress: Sendable {
    /// Visits, exchanges, connections held.
    let operations = SharedCount()
    let bytesReceived = SharedCount()
    let open = SharedCount()
    /// By the subject, of those that awaited it.
    let ended = SharedCount()
    private let failure = Mutex<String?>(nil)

    /// The first one since the last time.
    func takeFailure() -> String? {
        failure.withLock { failure in
            defer { failure = nil }
            return failure
        }
    }

    func failed(_ text: String) { failure.withLock { $0 = $0 ?? text } }
}
