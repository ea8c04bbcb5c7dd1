import IO

/// The header that tells a server on whose behalf a connection is made: PROXY protocol, version 2 (HAProxy's
/// proxy-protocol.txt §2.2).
struct ProxyHeader: Equatable, Sendable {
    enum Origin: Equatable, Sendable {
        /// The sender itself, such as a health check: the addresses of the connection count.
        case local
        case client(SocketAddress, at: SocketAddress)
    }

    /// A type, a length and a value (§2.2, "TLV").
    struct Field: Equatable, Sendable {
        let type: UInt8
        let value: [UInt8]

        init(_ type: UInt8, _ value: [UInt8]) {
            self.type = type
            self.value = value
        }
    }

    var origin: Origin
    /// Of a client; the checksum is not among them.
    var fields: [Field] = []

    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    /// Signature, command, family and length.
    static let prefixLength = 16
    /// A receiver need not take more than 536 bytes, but others put a whole certificate into a field of their own.
    static let longest = 4096
    static let uniqueIdentifierLimit = 128

    enum Command {
        static let local: UInt8 = 0x20
        static let proxy: UInt8 = 0x21
    }

    enum Family {
        static let unspecified: UInt8 = 0x00
        static let tcp4: UInt8 = 0x11
        static let tcp6: UInt8 = 0x21
        static let unixStream: UInt8 = 0x31

        /// Of a path in the block of a unix stream.
        static let pathLength = 108
    }

    /// PP2_TYPE_… and PP2_SUBTYPE_SSL_….
    enum FieldType {
        static let applicationProtocol: UInt8 = 0x01
        static let authority: UInt8 = 0x02
        static let checksum: UInt8 = 0x03
        static let uniqueIdentifier: UInt8 = 0x05
        static let tls: UInt8 = 0x20
        static let tlsVersion: UInt8 = 0x21
        static let tlsCommonName: UInt8 = 0x22
        static let tlsCipher: UInt8 = 0x23
        static let tlsSignatureAlgorithm: UInt8 = 0x24
        static let tlsKeyAlgorithm: UInt8 = 0x25
    }
}
