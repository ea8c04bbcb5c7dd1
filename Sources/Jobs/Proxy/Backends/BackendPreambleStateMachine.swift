/// What precedes TLS on the way to a database: PostgreSQL is asked by SSLRequest, others begin at once.
///
/// Owned by one connection to a backend. Only 'S' will do, and exactly one byte is read: what came in clear can never
/// pass for a part of TLS (CVE-2021-23222), and there is no way back to a connection in clear.
struct BackendPreambleStateMachine {
    enum Action: Hashable {
        /// Send it all, then call `sent`.
        case send([UInt8])
        /// Read exactly one byte, then call `received` or `ended`.
        case readOne
        case startTLS
        case fail(String)
    }

    private enum Phase: Hashable { case connecting, asking, asked, over }

    private let asks: Bool
    private var phase = Phase.connecting

    /// `asks`: the backend speaks PostgreSQL's protocol.
    init(asks: Bool) { self.asks = asks }

    mutating func connected() -> Action {
        precondition(phase == .connecting)
        phase = asks ? .asking : .over
        return asks ? .send(Self.encryptionRequest) : .startTLS
    }

    mutating func sent() -> Action {
        precondition(phase == .asking)
        phase = .asked
        return .readOne
    }

    mutating func received(_ byte: UInt8) -> Action {
        precondition(phase == .asked)
        phase = .over
        switch byte {
        case UInt8(ascii: "S"): return .startTLS
        case UInt8(ascii: "N"): return .fail("the database does not speak TLS: it answered SSLRequest with 'N'")
        // An error in clear is nobody's word (CVE-2024-10977): it is not even read.
        case UInt8(ascii: "E"): return .fail("the database answered SSLRequest with an error")
        default: return .fail("the database answered SSLRequest with byte \(byte)")
        }
    }

    mutating func ended() -> Action {
        phase = .over
        return .fail("the database closed the connection instead of answering SSLRequest")
    }

    /// Length 8, then `PostgresCode.encryptionRequest`.
    private static let encryptionRequest: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]
}
