import OpenSSL
import Reports

/// What is no failure, and yet to be known.
extension CertificateReports {
    /// 202: somebody has to approve the request.
    func pending(until time: Double, role: String, isServed: Bool) {
        raise(
            HealthReason(
                "CERTIFICATE_PENDING", isServed ? .info : .warn, subject: Self.subject(role),
                detail: "the EST server has not decided yet; the same request is sent again at "
                    + "\(Timestamp(seconds: Int64(time)))",
                action: "approve the request at the EST server, if it waits for that"))
    }

    /// nil: it is not.
    func limited(until time: Double?, role: String) {
        let subject = Self.subject(role)
        guard let time else { return board.clear("CERTIFICATE_ISSUE_LIMIT", subject: subject) }
        board.raise(
            HealthReason(
                "CERTIFICATE_ISSUE_LIMIT", .error, subject: subject,
                detail: "so many certificates were issued lately that none is asked for before "
                    + "\(Timestamp(seconds: Int64(time.rounded(.up))))",
                action: "see the other reasons and the log for why they did not last; "
                    + "nodeguard certificates renew \(role) asks for one more at once"))
    }

    /// `isOld`: it was due for renewal when it came.
    func arrived(_ leaf: Certificate, role: String, isOld: Bool) {
        let subject = Self.subject(role)
        guard isOld else { return board.clear("CERTIFICATE_OLD_ON_ARRIVAL", subject: subject) }
        board.raise(
            HealthReason(
                "CERTIFICATE_OLD_ON_ARRIVAL", .warn, subject: subject,
                detail: "the certificate \(leaf.serial) was due for renewal when it came: two thirds of its life "
                    + "were over",
                action: "see what life the authority gives, and set this node's clock and the authority's"))
    }

    /// What the server wished for and the request does not have.
    func unmet(_ wishes: [String], role: String) {
        let subject = Self.subject(role)
        guard !wishes.isEmpty else { return board.clear("CERTIFICATE_WISHES_UNMET", subject: subject) }
        board.raise(
            HealthReason(
                "CERTIFICATE_WISHES_UNMET", .info, subject: subject,
                detail: "the request goes without what the EST server wishes for: \(wishes.joined(separator: ", "))",
                action: "none, unless the server refuses the request for that"))
    }

    func notWritten(_ error: StoreError, what: String) {
        raise(
            HealthReason(
                "CERTIFICATE_STORE_NOT_WRITABLE", .error, subject: what, detail: error.description,
                action: "make room on the disk of the state folder, and check that it belongs to the service"))
    }
}
