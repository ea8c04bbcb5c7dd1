extension SecretBytes {
    /// What the base64 (RFC 4648 §4, with its padding) in `range` of `text` stands for; nil if it is none, or another
    /// spelling of it than the canonical one. JSON may write its `/` as `\/`.
    ///
    /// From one wiped memory into another: no copy of the text or of the bytes is made anywhere else.
    package static func decoding(base64 text: Span<UInt8>, in range: Range<Int>) -> SecretBytes? {
        text.withUnsafeBufferPointer { text in
            let text = UnsafeBufferPointer(rebasing: text[range])
            guard let count = paddedCount(text) else { return nil }
            return decoding(text, count, standard)
        }
    }

    /// The same of base64url (RFC 4648 §5) without padding.
    package static func decoding(base64URL text: Span<UInt8>, in range: Range<Int>) -> SecretBytes? {
        text.withUnsafeBufferPointer { text in
            let text = UnsafeBufferPointer(rebasing: text[range])
            guard text.count % 4 != 1, text.allSatisfy({ urlSafe($0) != nil }) else { return nil }
            return decoding(text, text.count * 3 / 4, urlSafe)
        }
    }

    private static func decoding(
        _ text: UnsafeBufferPointer<UInt8>, _ count: Int, _ value: (UInt8) -> UInt8?
    ) -> SecretBytes? {
        var isCanonical = true
        let decoded = SecretBytes(count: count) { space in
            var bits: UInt32 = 0
            var bitCount: UInt32 = 0
            var filled = 0
            for digit in text {
                guard digit != UInt8(ascii: "\\"), let value = value(digit) else { continue }
                bits = bits << 6 | UInt32(value)
                bitCount += 6
                guard bitCount >= 8 else { continue }
                bitCount -= 8
                space[filled] = UInt8(truncatingIfNeeded: bits >> bitCount)
                filled += 1
            }
            isCanonical = bits & ((1 << bitCount) - 1) == 0
        }
        guard isCanonical else { return nil }
        return decoded
    }

    /// nil if it is no base64.
    private static func paddedCount(_ text: UnsafeBufferPointer<UInt8>) -> Int? {
        var digits = 0
        var padding = 0
        var isEscaped = false
        for character in text {
            if isEscaped, character != UInt8(ascii: "/") { return nil }
            isEscaped = character == UInt8(ascii: "\\")
            if isEscaped { continue }
            if character == UInt8(ascii: "=") {
                padding += 1
            } else {
                guard padding == 0, standard(character) != nil else { return nil }
                digits += 1
            }
        }
        guard !isEscaped, (digits + padding).isMultiple(of: 4), padding <= 2 else { return nil }
        return digits * 3 / 4
    }

    private static func urlSafe(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        case UInt8(ascii: "+"), UInt8(ascii: "/"): nil
        default: standard(digit)
        }
    }

    private static func standard(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): digit - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
