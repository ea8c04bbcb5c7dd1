import IO

extension Form where Value == Duration {
    /// `500ms`, `10s`, `5m`, `2h`, `7d`.
    static func duration(_ range: ClosedRange<Duration>) -> Form {
        Form { text throws(Flaw) in
            let (count, unit) = try Quantity.split(text, "duration such as 500ms, 10s, 5m, 2h or 7d")
            guard let milliseconds = Quantity.milliseconds[unit] else {
                throw Flaw("'\(text)' is no duration: write 500ms, 10s, 5m, 2h or 7d")
            }
            let (product, overflow) = count.multipliedReportingOverflow(by: milliseconds)
            guard !overflow, range.contains(.milliseconds(product)) else {
                throw Flaw(
                    "'\(text)' must be from \(Quantity.text(range.lowerBound)) to \(Quantity.text(range.upperBound))")
            }
            return .milliseconds(product)
        }
    }
}

extension Form where Value == Int {
    /// Bytes: `128MiB`, `1GiB`, `4096B`.
    static func size(_ range: ClosedRange<Int>) -> Form {
        Form { text throws(Flaw) in
            let (count, unit) = try Quantity.split(text, "size such as 64KiB, 128MiB or 1GiB")
            guard let bytes = Quantity.bytes[unit] else {
                let meant = Quantity.decimal[unit].map { "; write \(count)\($0)" } ?? ": write 64KiB, 128MiB or 1GiB"
                throw Flaw("'\(text)' is no size\(meant)")
            }
            let (product, overflow) = count.multipliedReportingOverflow(by: bytes)
            guard !overflow, let size = Int(exactly: product), range.contains(size) else {
                throw Flaw(
                    "'\(text)' must be from \(Quantity.text(bytes: range.lowerBound)) to "
                        + Quantity.text(bytes: range.upperBound))
            }
            return size
        }
    }

    static func count(_ range: ClosedRange<Int>) -> Form {
        Form { text throws(Flaw) in
            guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = Int(text), range.contains(count)
            else { throw Flaw("'\(text)' must be a number from \(range.lowerBound) to \(range.upperBound)") }
            return count
        }
    }

    /// `500/s`.
    static func rate(_ range: ClosedRange<Int>) -> Form {
        Form { text throws(Flaw) in
            guard text.hasSuffix("/s") else { throw Flaw("'\(text)' is no rate: write \(range.upperBound)/s or less") }
            do throws(Flaw) { return try count(range).read(String(text.dropLast(2))) } catch {
                throw Flaw("'\(text)' must be from \(range.lowerBound)/s to \(range.upperBound)/s")
            }
        }
    }
}

extension Form where Value == UInt32 {
    /// Permissions in octal, with or without the leading zeros.
    static var mode: Form {
        Form { text throws(Flaw) in
            guard (3...4).contains(text.utf8.count), let mode = UInt32(text, radix: 8), mode <= 0o777 else {
                throw Flaw("'\(text)' are no permissions: write 0666 or 0660")
            }
            return mode
        }
    }
}

extension Form {
    /// The same, or `off`.
    func orOff() -> Form<Value?> { or("off") }

    /// The same, or `auto`: what suits the machine.
    func orAuto() -> Form<Value?> { or("auto") }

    private func or(_ word: String) -> Form<Value?> {
        let read = read
        return Form<Value?> { text throws(Flaw) in
            if text == word { return nil }
            do throws(Flaw) { return try read(text) } catch { throw Flaw(error.text + ", or \(word)") }
        }
    }
}

extension Form where Value == SocketAddress {
    /// `ADDRESS:PORT` to listen on: no names, so that what is bound does not hang on a resolver.
    static var listenAddress: Form {
        Form { text throws(Flaw) in
            guard let address = SocketAddress(text), address.port != nil else {
                throw Flaw("'\(text)' is no address: write 0.0.0.0:5433 or \"[::]:5433\"")
            }
            return address
        }
    }
}

extension Form where Value == [UInt8] {
    /// An IP address without a port, as 4 or 16 bytes.
    static var ipAddress: Form {
        Form { text throws(Flaw) in
            switch SocketAddress(text.contains(":") ? "[\(text)]:0" : "\(text):0") {
            case .ipv4(let bytes, _), .ipv6(let bytes, _): return bytes
            case .unix, nil: throw Flaw("'\(text)' is no IP address")
            }
        }
    }
}

/// Numbers with units, read and written.
enum Quantity {
    static let milliseconds: [String: Int64] = ["ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
    static let bytes: [String: Int64] = ["B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40]
    /// What people write when they mean the other.
    static let decimal = [
        "K": "KiB", "M": "MiB", "G": "GiB", "T": "TiB", "KB": "KiB", "kB": "KiB", "MB": "MiB", "GB": "GiB", "TB": "TiB",
        "": "B",
    ]

    static func split(_ text: String, _ what: String) throws(Flaw) -> (count: Int64, unit: String) {
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard !digits.isEmpty, let count = Int64(digits) else { throw Flaw("'\(text)' is no \(what)") }
        return (count, String(text.dropFirst(digits.count)))
    }

    /// As `Form.duration` reads it.
    static func text(_ duration: Duration) -> String {
        let count = duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
        let unit = ["d", "h", "m", "s"].first { count > 0 && count.isMultiple(of: milliseconds[$0] ?? 1) } ?? "ms"
        return "\(count / (milliseconds[unit] ?? 1))\(unit)"
    }

    /// As `Form.size` reads it.
    static func text(bytes count: Int) -> String {
        let unit =
            ["TiB", "GiB", "MiB", "KiB"].first { count > 0 && Int64(count).isMultiple(of: bytes[$0] ?? 1) } ?? "B"
        return "\(Int64(count) / (bytes[unit] ?? 1))\(unit)"
    }
}
