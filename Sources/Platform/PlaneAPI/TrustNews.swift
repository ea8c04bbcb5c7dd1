import FoundationEssentials

/// What a plane tells its nodes about authorities beside the answers to their questions, in headers that everybody else
/// passes over.
package enum TrustNews {
    /// In every answer to a node: an opaque word that is another when `/cacerts`, or the window below, is.
    package static let revisionHeader = "NG-Trust"
    /// In the answer of `/cacerts`, to a node that is to replace certificates before they are due.
    package static let renewalHeader = "NG-Renew-Window"
    package static let wordLimit = 128
}

/// Which certificates a node is to replace, and when: `START/END; issuer=HEX`, RFC 3339 times, and SHA-256 of the
/// SubjectPublicKeyInfo of who issued them; several with commas. Each certificate has its moment between start and end,
/// as with ACME's renewal information (RFC 9773 §4.1); a window that is over means now.
package struct RenewalWindow: Sendable, Equatable {
    package let issuer: String
    /// Seconds since 1970.
    package let start: Int64
    package let end: Int64

    package static let countLimit = 16
    private static let textLimit = 256

    package init(issuer: String, start: Int64, end: Int64) {
        self.issuer = issuer
        self.start = start
        self.end = max(start, end)
    }

    /// nil: it is not of this form.
    package init?(text: some StringProtocol) {
        guard text.utf8.count <= Self.textLimit else { return nil }
        let parts = text.split(separator: ";", omittingEmptySubsequences: false).map { part in
            String(part.filter { $0 != " " })
        }
        guard parts.count == 2, parts[1].hasPrefix("issuer=") else { return nil }
        let times = parts[0].split(separator: "/", omittingEmptySubsequences: false).map { Self.seconds(String($0)) }
        let issuer = String(parts[1].dropFirst("issuer=".count))
        guard times.count == 2, let start = times[0], let end = times[1], start <= end, Self.isDigest(issuer) else {
            return nil
        }
        self.init(issuer: issuer, start: start, end: end)
    }

    /// Those of a header; one that is not understood is left out, as whatever is beyond the limit.
    package static func all(in text: String) -> [RenewalWindow] {
        text.split(separator: ",").prefix(countLimit).compactMap { RenewalWindow(text: $0) }
    }

    package static func text(of windows: [RenewalWindow]) -> String {
        windows.prefix(countLimit).map(\.text).joined(separator: ", ")
    }

    package var text: String { "\(Self.text(start))/\(Self.text(end)); issuer=\(issuer)" }

    private static func text(_ seconds: Int64) -> String {
        Date(timeIntervalSince1970: TimeInterval(seconds)).formatted(.iso8601)
    }

    private static func seconds(_ text: String) -> Int64? {
        (try? Date(text, strategy: .iso8601)).map { Int64($0.timeIntervalSince1970) }
    }

    private static func isDigest(_ text: String) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
