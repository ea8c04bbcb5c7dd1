extension Certificate {
    /// At most this many bytes and certificates in one file.
    private static let fileLimit = 1 << 20
    private static let countLimit = 512

    /// All certificates of a PEM file, in its order.
    package static func parsePEM(_ bytes: [UInt8]) throws(OpenSSLError) -> [Certificate] {
        let blocks = try PEMBlocks(label: "CERTIFICATE", of: "certificate", countLimit: countLimit)
            .read(bytes, limit: fileLimit)
        var certificates: [Certificate] = []
        for block in blocks { certificates.append(try Certificate(der: block)) }
        return certificates
    }
}
