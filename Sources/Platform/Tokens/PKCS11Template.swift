import CPKCS11

/// Attributes of an object, as PKCS #11 wants to see them.
struct PKCS11Template {
    private var values: [(CK_ATTRIBUTE_TYPE, [UInt8])] = []

    mutating func add(_ type: CK_ATTRIBUTE_TYPE, _ bytes: [UInt8]) { values.append((type, bytes)) }

    mutating func add(_ type: CK_ATTRIBUTE_TYPE, _ flag: Bool) { values.append((type, [flag ? 1 : 0])) }

    mutating func add(_ type: CK_ATTRIBUTE_TYPE, _ number: CK_ULONG) {
        values.append((type, withUnsafeBytes(of: number) { Array($0) }))
    }

    /// `body`: the attributes and how many they are; they live as long as the call.
    func withAttributes<Result>(_ body: (UnsafeMutablePointer<CK_ATTRIBUTE>?, CK_ULONG) -> Result) -> Result {
        // Numbers are read as such, so that each value begins where one may.
        let step = MemoryLayout<CK_ULONG>.stride
        var bytes = values.flatMap { $1 + [UInt8](repeating: 0, count: (step - $1.count % step) % step) }
        return bytes.withUnsafeMutableBytes { storage in
            var attributes: [CK_ATTRIBUTE] = []
            var offset = 0
            for (type, value) in values {
                let place = storage.baseAddress.map { $0 + offset }
                attributes.append(CK_ATTRIBUTE(type: type, pValue: place, ulValueLen: CK_ULONG(value.count)))
                offset += (value.count + step - 1) / step * step
            }
            return attributes.withUnsafeMutableBufferPointer { body($0.baseAddress, CK_ULONG($0.count)) }
        }
    }
}
