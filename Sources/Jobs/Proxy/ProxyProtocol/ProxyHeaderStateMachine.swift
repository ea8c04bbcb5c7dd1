/// Reads the header that a listed proxy sends before anything else, and not a byte of what follows it.
///
/// Owned by one pending connection. Whether there has to be a header is known before the first byte, from the address
/// alone: a reader that finds out by itself lets any client say who it is (proxy-protocol.txt §5).
struct ProxyHeaderStateMachine {
    enum Action: Equatable {
        /// Read at most so many bytes, then call `received` or `ended`.
        case read(atMost: Int)
        case accept(ProxyHeader)
        case refuse(RefusalReason, detail: String?)
    }

    private var bytes: [UInt8] = []
    /// Of the whole header, once its prefix is there.
    private var length = ProxyHeader.prefixLength

    var firstAction: Action { .read(atMost: ProxyHeader.prefixLength) }

    mutating func received(_ new: [UInt8]) -> Action {
        bytes += new
        precondition(bytes.count <= length)
        if let mistake = mistakeInSignature { return .refuse(.noProxyHeader, detail: mistake) }
        guard bytes.count == length else { return .read(atMost: length - bytes.count) }
        do throws(ProxyHeader.Mistake) {
            if length == ProxyHeader.prefixLength { length = try ProxyHeader.length(of: bytes) }
            guard bytes.count == length else { return .read(atMost: length - bytes.count) }
            return .accept(try ProxyHeader(decoding: bytes))
        } catch { return .refuse(.badProxyHeader, detail: "the PROXY header \(error.reason)") }
    }

    /// Without a single byte it was a look at the port.
    func ended() -> Action { .refuse(bytes.isEmpty ? .probe : .clientLeft, detail: nil) }

    private var mistakeInSignature: String? {
        let text = bytes.prefix(Self.version1.count)
        if Self.version1.starts(with: text) {
            return text.count < Self.version1.count ? nil : "PROXY protocol version 1 is not spoken here, version 2 is"
        }
        let begun = bytes.prefix(ProxyHeader.signature.count)
        return ProxyHeader.signature.starts(with: begun) ? nil : "no PROXY header came before the client's first bytes"
    }

    private static let version1 = Array("PROXY ".utf8)
}
