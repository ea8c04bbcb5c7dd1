/// The CRLs of a cluster, each in DER, one behind the other: first that of its own authority, then that of the one
/// above, which may revoke the first. With `If-None-Match` the answer is 304 while there is nothing new, and with
/// `Prefer: wait=N` (RFC 7240 §4.3) it waits so long for news; a plane that does so says `Preference-Applied`.
package enum RevocationLists {
    package static func path(cluster: String) -> String { "/v1/clusters/\(cluster)/crl" }

    package static let contentType = "application/pkix-crl"
    /// Seconds. Proxies on the way often give up after a minute.
    package static let longestWait = 50
}
