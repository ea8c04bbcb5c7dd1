import Reports

/// The status document as one line of a monitoring plugin: a word, what it is about, and figures after `|`.
struct CheckLine: Equatable {
    struct Limits {
        let certificateDays: Int
        let spoolSeconds: Int
    }

    let status: VerbStatus
    let text: String

    init(_ document: JSONValue, now: Int64, limits: Limits) {
        let state = document["state"]?.string ?? "unknown"
        var worst = VerbStatus(state: state)
        var words = [state.printable]
        words += (document["conditions"]?.items ?? []).filter { $0["met"] == .boolean(false) }.map {
            "waits for \($0["name"]?.shown ?? "?")"
        }
        for reason in document["reasons"]?.items ?? [] where reason["severity"]?.string != "info" {
            guard let code = reason["code"]?.shown else { continue }
            let subject = reason["subject"]?.shown ?? ""
            words.append(subject.isEmpty ? code : "\(code) (\(subject))")
            // No database of a listener is left: for whoever uses it the node has failed.
            if code == "BACKEND_DOWN", reason["severity"]?.string == "error" { worst = .failed }
        }
        var figures: [String] = []
        if let (role, expiry) = Self.firstExpiry(document["certificates"]) {
            let days = (expiry - now) / 86_400
            figures.append("certificate_days=\(days);\(limits.certificateDays):;0:")
            if expiry <= now {
                worst = .failed
                words.append("certificate \(role) has expired")
            } else if days < limits.certificateDays {
                worst = max(worst, .degraded)
                words.append("certificate \(role) expires in \(Measures.span(expiry - now))")
            }
        }
        if let age = document["audit"]?["oldest_age_seconds"]?.number {
            figures.append("spool_age=\(Int64(age))s;\(limits.spoolSeconds)")
            if age > Double(limits.spoolSeconds) {
                worst = max(worst, .degraded)
                words.append("an audit event waits for \(Measures.span(Int64(age)))")
            }
        }
        if let events = document["audit"]?["spooled_events"]?.number {
            figures.append("spool_events=\(Int64(events))")
        }
        status = worst
        let name = [VerbStatus.ready: "OK", .degraded: "WARNING"][worst] ?? "CRITICAL"
        text =
            "NODEGUARD \(name) - " + words.joined(separator: ", ").replacing("|", with: "/")
            + (figures.isEmpty ? "" : " | " + figures.joined(separator: " "))
    }

    private static func firstExpiry(_ section: JSONValue?) -> (role: String, expiry: Int64)? {
        let certificates = section?["roles"]?.items ?? section?["certificates"]?.items ?? section?.items ?? []
        let dated = certificates.compactMap { certificate in
            certificate["not_after"]?.string.flatMap(Measures.seconds).map {
                (role: certificate["role"]?.shown ?? "?", expiry: $0)
            }
        }
        return dated.min { $0.expiry < $1.expiry }
    }
}

extension VerbStatus: Comparable {
    static func < (left: VerbStatus, right: VerbStatus) -> Bool { left.rawValue < right.rawValue }
}
