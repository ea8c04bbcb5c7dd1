import IO
import PlaneAPI

/// How a scalar's text becomes a value that cannot be wrong.
struct Form<Value: Sendable>: Sendable {
    let read: @Sendable (String) throws(Flaw) -> Value

    init(_ read: @escaping @Sendable (String) throws(Flaw) -> Value) { self.read = read }
}

extension Form where Value == String {
    /// A name of ours: it becomes a path segment, a certificate's name, a metric's label.
    static var name: Form {
        Form { text throws(Flaw) in
            guard Name.isValid(text) else {
                throw Flaw("'\(text)' is no name: letters, digits, '.', '_' and '-' only, 1 to 63")
            }
            return text
        }
    }

    static var path: Form {
        Form { text throws(Flaw) in
            guard text.hasPrefix("/"), !text.utf8.contains(0), text.utf8.count <= 4096 else {
                throw Flaw("'\(text)' is no path: it must begin with /")
            }
            guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
                throw Flaw("control characters are not allowed in a path")
            }
            return text
        }
    }

    /// Short enough for `sockaddr_un`, with room for the temporary name under which it is bound.
    static var socketPath: Form {
        Form { text throws(Flaw) in
            let path = try path.read(text)
            guard path.utf8.count <= SocketAddress.pathLimit - ".new".utf8.count else {
                throw Flaw("the path of a socket has at most \(SocketAddress.pathLimit - 4) bytes: '\(text)'")
            }
            return path
        }
    }

    /// Where the management plane is.
    static var httpsURL: Form {
        Form { text throws(Flaw) in
            let rest = text.dropFirst("https://".count)
            guard text.hasPrefix("https://"), !rest.isEmpty, rest.first != "/" else {
                throw Flaw("'\(text)' is no URL that begins with https://")
            }
            guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }) else {
                throw Flaw("a URL has printable ASCII characters only")
            }
            guard !rest.contains(where: { "@?#".contains($0) }) else {
                throw Flaw("the URL may hold a host, a port and a path only: no user, no query, no fragment")
            }
            return text.hasSuffix("/") ? String(text.dropLast()) : text
        }
    }

    static func text(limit: Int) -> Form {
        Form { text throws(Flaw) in
            guard text.utf8.count <= limit else { throw Flaw("longer than \(limit) bytes") }
            guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
                throw Flaw("control characters are not allowed here")
            }
            return text
        }
    }

    /// A host name in a certificate (RFC 6125): labels of letters, digits and hyphens.
    static var dnsName: Form {
        Form { text throws(Flaw) in
            let labels = text.split(separator: ".", omittingEmptySubsequences: false)
            let isName = labels.allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                    && label.utf8.allSatisfy { byte in
                        switch byte {
                        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                            true
                        default: false
                        }
                    }
            }
            guard isName, text.utf8.count <= 253 else { throw Flaw("'\(text)' is no host name") }
            if text.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || (0x30...0x39).contains($0) }) {
                throw Flaw("'\(text)' is an address: write it under 'addresses'")
            }
            return text
        }
    }

    static var uri: Form {
        Form { text throws(Flaw) in
            let scheme = text.prefix { $0 != ":" }
            guard text.contains(":"), let first = scheme.first, first.isASCII, first.isLetter,
                scheme.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }),
                text.utf8.count > scheme.utf8.count + 1, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            else { throw Flaw("'\(text)' is no URI") }
            guard !text.contains("*") else { throw Flaw("a certificate has no wildcard in its URI: '\(text)'") }
            return text
        }
    }
}

extension Form where Value == Bool {
    static var flag: Form {
        Form { text throws(Flaw) in
            switch text {
            case "yes", "true", "on": true
            case "no", "false", "off": false
            default: throw Flaw("'\(text)' must be yes or no")
            }
        }
    }
}

extension Form {
    /// One of the words of an enumeration, with the nearest one when it is none.
    static func word(_ what: String) -> Form
    where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
        Form { text throws(Flaw) in
            if let value = Value(rawValue: text) { return value }
            let known = Value.allCases.map(\.rawValue)
            let hint = Suggestion.nearest(to: text, among: known).map { "; did you mean '\($0)'?" }
            throw Flaw("'\(text)' is no \(what)\(hint ?? ": write \(known.joined(separator: ", "))")")
        }
    }
}
