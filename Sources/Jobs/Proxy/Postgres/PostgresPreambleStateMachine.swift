/// Reads what a PostgreSQL client says before its session begins, in clear or inside TLS, and decides what to answer.
///
/// Owned by one pending connection. In clear it never asks for a byte more than it may consume, so that nothing in
/// clear can survive into TLS (CVE-2021-23214, CVE-2021-3935). The rules are those of PostgreSQL's
/// `backend_startup.c`.
struct PostgresPreambleStateMachine {
    enum Place: Equatable {
        case clear
        /// `isDirect`: TLS from the first byte, so that an SSLRequest inside is answered 'N' rather than refused.
        case insideTLS(isDirect: Bool)
        /// In clear for good, at a tunnel's port: requests for encryption are answered 'N'.
        case tunnel
    }

    enum Action: Equatable {
        /// Look at the first byte without consuming it, then call `peeked`.
        case peek
        /// Read at most so many bytes, then call `received`.
        case read(atMost: Int)
        /// Look whether more bytes are there already, then call `wasSilent` or `wasStuffed`.
        case checkSilence
        /// Send this one byte, then call `answered`.
        case answer(UInt8)
        case startTLS(isDirect: Bool)
        /// Never answered, whatever becomes of it.
        case cancel(CancelRequest)
        /// The session may begin; `rest` is what the client sent behind its StartupMessage.
        case admit(StartupMessage, rest: [UInt8])
        /// Say it in the wire format, then close.
        case refuse(PostgresError, RefusalReason)
        case close(RefusalReason)
    }

    private enum State: Equatable {
        case awaitingFirstByte
        case collecting
        case checkingSilence(answer: UInt8)
        case answering(UInt8)
        case done
    }

    /// PostgreSQL's MAX_STARTUP_PACKET_LENGTH.
    static let longestPacket = 10_000
    private static let header = 8

    private let place: Place
    private var state: State
    private var bytes: [UInt8] = []
    private var sawEncryptionRequest = false
    private var sawGSSRequest = false

    init(_ place: Place) {
        self.place = place
        state = place == .clear ? .awaitingFirstByte : .collecting
    }

    var firstAction: Action { place == .clear ? .peek : .read(atMost: Self.longestPacket) }

    mutating func peeked(_ byte: UInt8) -> Action {
        precondition(state == .awaitingFirstByte)
        if byte == 0x16 {
            state = .done
            return .startTLS(isDirect: true)
        }
        state = .collecting
        return next()
    }

    mutating func received(_ new: [UInt8]) -> Action {
        precondition(state == .collecting)
        bytes += new
        return next()
    }

    /// No byte had followed the request when it was complete.
    mutating func wasSilent() -> Action {
        guard case .checkingSilence(let answer) = state else { preconditionFailure("no silence was asked for") }
        state = .answering(answer)
        return .answer(answer)
    }

    /// A byte had followed the request before it was answered: an attempt to smuggle clear text into TLS.
    mutating func wasStuffed() -> Action { close(.stuffedPreamble) }

    mutating func answered() -> Action {
        guard case .answering(let answer) = state else { preconditionFailure("nothing was to be answered") }
        if answer == UInt8(ascii: "S") {
            state = .done
            return .startTLS(isDirect: false)
        }
        state = .collecting
        return next()
    }

    /// The client ended its side; without a single byte it was a health probe or a port scan.
    mutating func ended() -> Action {
        close(bytes.isEmpty && !sawEncryptionRequest && !sawGSSRequest ? .probe : .clientLeft)
    }

    private mutating func next() -> Action {
        guard bytes.count >= Self.header else { return .read(atMost: wanted(Self.header)) }
        let length = Int(number(at: 0))
        let code = number(at: 4)
        guard (Self.header...Self.longestPacket).contains(length) else { return close(.malformedPreamble) }
        switch code {
        case PostgresCode.encryptionRequest: return encryptionRequested(length)
        case PostgresCode.gssRequest: return gssRequested(length)
        case PostgresCode.cancelRequest where !CancelRequest.lengths.contains(length): return close(.malformedPreamble)
        default: break
        }
        guard bytes.count >= length else { return .read(atMost: wanted(length)) }
        if place == .clear, bytes.count > length { return close(.stuffedPreamble) }
        let packet = Array(bytes[..<length])
        let rest = Array(bytes[length...])
        switch code {
        case PostgresCode.cancelRequest:
            state = .done
            return .cancel(CancelRequest(packet: packet))
        case let code where code >> 16 == 3: return startupReceived(packet, rest)
        default: return refuse(.unsupportedProtocol(code), .unsupportedProtocol)
        }
    }

    private mutating func startupReceived(_ packet: [UInt8], _ rest: [UInt8]) -> Action {
        if place == .clear { return refuse(.tlsRequired, .tlsRequired) }
        guard let message = StartupMessage(packet: packet) else {
            return refuse(.violation("invalid startup packet layout"), .malformedPreamble)
        }
        state = .done
        return .admit(message, rest: rest)
    }

    private mutating func encryptionRequested(_ length: Int) -> Action {
        guard length == Self.header else { return close(.malformedPreamble) }
        let isRepeated = sawEncryptionRequest
        sawEncryptionRequest = true
        switch place {
        case .clear:
            return isRepeated ? close(.repeatedRequest) : askedForEncryption(answer: UInt8(ascii: "S"))
        case .insideTLS(isDirect: true) where !isRepeated, .tunnel where !isRepeated: return decline()
        case .insideTLS: return refuse(.violation("unexpected SSLRequest inside TLS"), .repeatedRequest)
        case .tunnel: return close(.repeatedRequest)
        }
    }

    private mutating func gssRequested(_ length: Int) -> Action {
        guard length == Self.header else { return close(.malformedPreamble) }
        let isRepeated = sawGSSRequest
        sawGSSRequest = true
        switch place {
        case .clear:
            return isRepeated ? close(.repeatedRequest) : askedForEncryption(answer: UInt8(ascii: "N"))
        case .insideTLS(isDirect: true) where !isRepeated, .tunnel where !isRepeated: return decline()
        case .insideTLS: return refuse(.violation("unexpected GSSENCRequest inside TLS"), .repeatedRequest)
        case .tunnel: return close(.repeatedRequest)
        }
    }

    private mutating func askedForEncryption(answer: UInt8) -> Action {
        bytes.removeFirst(Self.header)
        if !bytes.isEmpty { return close(.stuffedPreamble) }
        state = .checkingSilence(answer: answer)
        return .checkSilence
    }

    private mutating func decline() -> Action {
        bytes.removeFirst(Self.header)
        state = .answering(UInt8(ascii: "N"))
        return .answer(UInt8(ascii: "N"))
    }

    private mutating func refuse(_ error: PostgresError, _ reason: RefusalReason) -> Action {
        state = .done
        return .refuse(error, reason)
    }

    private mutating func close(_ reason: RefusalReason) -> Action {
        state = .done
        return .close(reason)
    }

    /// Where TLS may follow exactly what the packet still lacks; elsewhere whatever fits.
    private func wanted(_ length: Int) -> Int {
        place == .clear ? length - bytes.count : Self.longestPacket
    }

    private func number(at offset: Int) -> UInt32 {
        bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }
}
