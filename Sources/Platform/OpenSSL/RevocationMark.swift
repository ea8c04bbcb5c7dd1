/// How new a CRL of one origin was: all that must be known of it so that no older one takes its place.
package struct RevocationMark: Codable, Sendable, Equatable {
    /// SHA-256 of the origin, in hexadecimal.
    package let origin: String
    /// Bytes of the list's number in hexadecimal, without leading zeros; nil: it has none.
    package let number: String?
    /// Seconds since 1970.
    package let thisUpdate: Int64

    package init(origin: String, number: String?, thisUpdate: Int64) {
        (self.origin, self.number, self.thisUpdate) = (origin, number, thisUpdate)
    }

    /// By number where both have one (RFC 5280 §5.2.3), and by date; of one origin.
    package func isOlder(than other: RevocationMark) -> Bool {
        if let one = number, let two = other.number, one != two {
            return one.utf8.count == two.utf8.count ? one < two : one.utf8.count < two.utf8.count
        }
        return thisUpdate < other.thisUpdate
    }
}
