extension Certificate {
    /// At most this many bytes and certificates in one file.
    private static let fileLimit = 1 << 20
    private static let countLimit = 512

    /// All certificates of a PEM file, in its order.
    package static func parsePEM(_ bytes: [UInt8]) throws(OpenSSLError) -> [Certificate] {
        try blocks(ofPEM: bytes).map(\.certificate)
    }

    /// The same, and where each stands in the file.
    package static func blocks(ofPEM bytes: [UInt8]) throws(OpenSSLError) -> [PEMBlock] {
        let file = PEMBlocks(label: "CERTIFICATE", of: "certificate", countLimit: countLimit)
        var found: [PEMBlock] = []
        for (der, place) in try file.read(bytes, limit: fileLimit) {
            do throws(OpenSSLError) {
                found.append(PEMBlock(certificate: try Certificate(der: der), place: place))
            } catch { throw file.refusal("\(place): \(error)") }
        }
        return found
    }
}

/// One certificate of a PEM file.
package struct PEMBlock: Sendable {
    package let certificate: Certificate
    /// "block 2 (line 31)", counted from 1.
    package let place: String
}
