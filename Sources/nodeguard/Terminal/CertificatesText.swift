import Reports

/// What `nodeguard certificates` prints: each certificate with what is to become of it, and who shows it.
struct CertificatesText {
    private let document: JSONValue
    private let now: Int64

    /// `document`: of `/v1/certificates`; `now`: in seconds since 1970.
    init(_ document: JSONValue, now: Int64) { (self.document, self.now) = (document, now) }

    func text(width: Int) -> String {
        let blocks = (document["roles"]?.items ?? []).map { block($0, width) }
        if blocks.isEmpty { return "no certificate yet" }
        return blocks.map { $0.joined(separator: "\n") }.joined(separator: "\n\n")
    }

    private func block(_ role: JSONValue, _ width: Int) -> [String] {
        let state = role["state"].map { ": \($0.shown)" } ?? ""
        let head = (role["role"]?.shown ?? "?") + state + (role["source"]?.string == "files" ? ", in files" : "")
        let lines: [(String, String?)] = [
            ("subject", role["subject"]?.shown), ("names", role["names"].flatMap(Self.filled)),
            ("issuer", role["issuer"]?.shown), ("serial", role["serial"]?.shown),
            ("key", key(role["key_store"])), ("expires", moment(role["not_after"])), ("renewal", renewal(role)),
            ("problem", role["last_error"]?.shown),
            ("served by", ports(showing: role)), ("published", publication(role["publication"])),
        ]
        let shown = lines.flatMap { label, text -> [String] in
            guard let text else { return [] }
            let column = 13
            let wrapped = TextTable.wrapped(text, width: width, indent: column)
            let title = "  " + label + String(repeating: " ", count: column - 2 - label.count)
            return wrapped.enumerated().map { $0.offset == 0 ? title + $0.element.dropFirst(column) : $0.element }
        }
        return [TextTable.cut(head, width)] + shown
    }

    /// Where it lives; that most are in a file needs no words.
    private func key(_ place: JSONValue?) -> String? {
        guard let place = place?.string, place != "file" else { return nil }
        return "in \(place.printable)"
    }

    private static func filled(_ list: JSONValue) -> String? { list.items.isEmpty ? nil : list.shown }

    /// `2026-11-30T04:00:00Z, in 3 days`.
    private func moment(_ time: JSONValue?) -> String? {
        guard let text = time?.string else { return nil }
        guard let then = Measures.seconds(text) else { return text.printable }
        let distance = then >= now ? "in \(Measures.span(then - now))" : "\(Measures.span(now - then)) ago"
        return "\(text.printable), \(distance)"
    }

    private func renewal(_ role: JSONValue) -> String? {
        if role["source"]?.string == "files" { return "by whoever brings the files" }
        guard let moment = moment(role["next_renewal"]) ?? (role["renewal_cause"] == nil ? nil : "at once") else {
            return nil
        }
        let cause: String? =
            switch role["renewal_cause"]?.string {
            case "age": "about two thirds of its life are over then"
            case "order": "the plane wants it replaced"
            case "demand": "it was asked for, or is not what the configuration asks for"
            case "retry": "the last request came to nothing"
            case "pending": "the EST server has not decided yet"
            case "limit": "too many were issued lately"
            default: nil
            }
        return moment + (cause.map { ": \($0)" } ?? "")
    }

    /// Those that show it now, by its serial number.
    private func ports(showing role: JSONValue) -> String? {
        let ports = (document["listeners"]?.items ?? []) + (document["tunnels"]?.items ?? [])
        let names = ports.compactMap { port -> String? in
            let shown = port["certificates"]?.items ?? []
            guard let serial = role["serial"], shown.contains(where: { $0["serial"] == serial }) else { return nil }
            let addresses = port["addresses"].flatMap(Self.filled).map { " (\($0))" } ?? ""
            return (port["name"]?.shown ?? "?") + addresses
        }
        return names.isEmpty ? nil : names.joined(separator: ", ")
    }

    private func publication(_ publication: JSONValue?) -> String? {
        guard let publication else { return nil }
        let check = publication["check"]?.shown
        let state: String =
            switch publication["state"]?.string {
            case "served": "served by \(check ?? "?")"
            case "written": check.map { "written; \($0) is asked what it serves" } ?? "written"
            case "failed": "failed"
            case "withheld": "withheld by command"
            case "publishing": "under way"
            case "postponed": "postponed"
            default: "waits for a certificate"
            }
        let reason = publication["reason"].map { ": \($0.shown)" } ?? ""
        return "\(publication["directory"]?.shown ?? "?"), \(state)\(reason)"
    }
}
