import FoundationEssentials

/// Redirects within one web origin, which need nobody's consent (RFC 7030 §3.2.1, RFC 6454 §4): the connection to it
/// was verified, and whoever answers there may know the token already. The request is repeated as it was.
enum Redirect {
    static let statuses: Set<Int> = [301, 302, 307, 308]
    static let limit = 2
    private static let lengthLimit = 2048

    /// Where a `Location` leads. Throws when that is another origin, another protocol, or nowhere.
    static func target(_ location: String?, from url: String, doing what: String) throws(PlaneError) -> String {
        guard let location, !location.isEmpty else {
            throw PlaneError(.redirect, "\(what): the plane redirects it without saying where to")
        }
        let shown = Answer.printable(String(location.prefix(200)))
        let isPlain = location.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\\") }
        guard isPlain, location.utf8.count <= lengthLimit, let own = origin(of: url) else {
            throw PlaneError(.redirect, "\(what): the plane redirects it to what is no address: \(shown)")
        }
        let absolute =
            if location.hasPrefix("//") {
                "https:" + location
            } else if location.hasPrefix("/") {
                own + location
            } else {
                location
            }
        guard let target = origin(of: absolute), target == own else {
            throw PlaneError(
                .redirect, "\(what): the plane redirects it to \(shown), which is not at \(own); it is not followed")
        }
        return String(absolute.prefix { $0 != "#" })
    }

    /// Scheme, host and port of an https URL; nil for any other, and for one with a user in it.
    static func origin(of url: String) -> String? {
        let scheme = "https://"
        guard url.prefix(scheme.count).lowercased() == scheme else { return nil }
        // With no path before a query or a fragment, readers have differed about where the host ends.
        let rest = url.dropFirst(scheme.count)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        guard end == rest.endIndex || rest[end] == "/" else { return nil }
        var authority = rest[..<end].lowercased()
        if authority.hasSuffix(":443") { authority.removeLast(4) }
        guard !authority.isEmpty, !authority.contains("@") else { return nil }
        return scheme + authority
    }
}
