import Reports

/// The status document for a person, in at most 80 columns: the state first, then what is wrong and what to do, then
/// each job, then the lanes.
struct StatusText {
    static let width = 80

    let document: JSONValue
    /// Seconds since 1970, for ages.
    let now: Int64
    let isColoured: Bool

    func render() -> String {
        let blocks = [head, reasons, listeners, tunnels, certificates, lists, backups, audit, lanes].filter {
            !$0.isEmpty
        }
        return blocks.map { $0.joined(separator: "\n") }.joined(separator: "\n\n") + "\n"
    }

    private var state: String { document["state"]?.string ?? "unknown" }

    private var head: [String] {
        let node = document["node"]?.shown ?? "this node"
        let cluster = document["cluster"].map { " of \($0.shown)" } ?? ""
        let up = document["uptime_seconds"]?.number.map { ", up \(Measures.span(Int64($0)))" } ?? ""
        let version = document["version"].map { ", nodeguard \($0.shown)" } ?? ""
        let rest = ": \(node)\(cluster)\(up)\(version)"
        let line = [coloured(state, Self.colour(of: state)) + TextTable.cut(rest, Self.width - state.count)]
        let unmet = (document["conditions"]?.items ?? []).filter { $0["met"] == .boolean(false) }
        return line
            + unmet.flatMap { condition in
                TextTable.wrapped(
                    "waits for \(condition["name"]?.shown ?? "?"): \(condition["detail"]?.shown ?? "")",
                    width: Self.width, indent: 2)
            }
    }

    private var reasons: [String] {
        (document["reasons"]?.items ?? []).flatMap { reason in
            let severity = reason["severity"]?.shown ?? "info"
            let subject = reason["subject"].map { $0.shown.isEmpty ? "" : " (\($0.shown))" } ?? ""
            let since = age(of: reason["since"]).map { ", for \($0)" } ?? ""
            let title = TextTable.cut("\(reason["code"]?.shown ?? "?")\(subject)\(since)", Self.width - 7)
            let mark = severity.padding(to: 5)
            return [coloured(mark, Self.colour(of: severity)) + "  " + title]
                + TextTable.wrapped(reason["detail"]?.shown ?? "", width: Self.width, indent: 7)
                + TextTable.wrapped("do: " + (reason["action"]?.shown ?? ""), width: Self.width, indent: 7)
        }
    }

    private var listeners: [String] {
        var table = TextTable(columns: [
            .init(title: "NAME"), .init(title: "ADDRESS"), .init(title: "PROTOCOL"), .init(title: "BACKEND"),
            .init(title: "STATE"), .init(title: "OPEN", isNumber: true), .init(title: "TOTAL", isNumber: true),
            .init(title: "REFUSED", isNumber: true),
        ])
        for listener in document["proxy"]?["listeners"]?.items ?? [] {
            let counts = ["open", "accepted", "refused"].map { listener[$0]?.total.map(Measures.count) ?? "" }
            let addresses = (listener["addresses"]?.items ?? []).map(\.shown)
            table.rows.append(
                [
                    listener["name"]?.shown ?? "", addresses.first ?? "", listener["protocol"]?.shown ?? "",
                    listener["backend"]?.shown ?? "", Self.brief(listener["state"]?.shown ?? ""),
                ] + counts)
            table.rows += addresses.dropFirst().map { ["", $0] + Array(repeating: "", count: 6) }
        }
        let lines = block("Listeners", table)
        let bans = document["proxy"]?["bans"]?.number ?? 0
        if lines.isEmpty || bans == 0 { return lines }
        return lines + ["  addresses that are refused for a while: \(Measures.count(bans)) (nodeguard bans)"]
    }

    private var tunnels: [String] {
        var table = TextTable(columns: [
            .init(title: "NAME"), .init(title: "ADDRESS"), .init(title: "REMOTE"), .init(title: "HEALTH"),
            .init(title: "STATE"), .init(title: "OPEN", isNumber: true), .init(title: "TOTAL", isNumber: true),
            .init(title: "REFUSED", isNumber: true),
        ])
        for tunnel in document["proxy"]?["tunnels"]?.items ?? [] {
            let counts = ["open", "accepted", "refused"].map { tunnel[$0]?.total.map(Measures.count) ?? "" }
            let addresses = (tunnel["addresses"]?.items ?? []).map(\.shown)
            table.rows.append(
                [
                    tunnel["name"]?.shown ?? "", addresses.first ?? "", tunnel["remote"]?.shown ?? "",
                    tunnel["health"]?.shown ?? "", Self.brief(tunnel["state"]?.shown ?? ""),
                ] + counts)
            table.rows += addresses.dropFirst().map { ["", $0] + Array(repeating: "", count: 6) }
        }
        return block("Tunnels", table)
    }

    private static func brief(_ state: String) -> String { state.hasPrefix("waiting-for-") ? "waiting" : state }

    private var certificates: [String] {
        let identity = document["certificates"]?["identity"].map { ", the node's identity is \($0.shown)" } ?? ""
        return block("Certificates" + identity, Self.certificateTable(document["certificates"], now))
    }

    static func certificateTable(_ section: JSONValue?, _ now: Int64) -> TextTable {
        var table = TextTable(columns: [
            .init(title: "ROLE"), .init(title: "SUBJECT"), .init(title: "STATE"), .init(title: "EXPIRES IN"),
            .init(title: "RENEWS IN"), .init(title: "SERIAL"),
        ])
        let certificates = section?["roles"]?.items ?? section?["certificates"]?.items ?? section?.items ?? []
        table.rows = certificates.map { certificate in
            [
                certificate["role"]?.shown ?? "", certificate["subject"]?.shown ?? "",
                certificate["state"]?.shown ?? "", ahead(certificate["not_after"], now),
                ahead(certificate["next_renewal"], now), certificate["serial"]?.shown ?? "",
            ]
        }
        return table
    }

    /// The plane's CRLs, where a listener asks for them.
    private var lists: [String] {
        guard let section = document["revocation"] else { return [] }
        let fetched = age(of: section["fetched"]).map { "the plane has answered \($0) ago" }
        var table = TextTable(columns: [
            .init(title: "ISSUER"), .init(title: "NUMBER", isNumber: true), .init(title: "REVOKED", isNumber: true),
            .init(title: "ENDS IN"),
        ])
        table.rows = (section["lists"]?.items ?? []).map { list in
            [
                list["issuer"]?.shown ?? "", list["number"]?.string?.printable ?? "",
                list["revoked"]?.number.map(Measures.count) ?? "", Self.ahead(list["next_update"], now),
            ]
        }
        let none = table.rows.isEmpty ? ["  none yet"] : []
        return [title("CRLs of the cluster")] + table.lines(width: Self.width) + none
            + ["  " + (fetched ?? "the plane has not answered yet")]
    }

    private var backups: [String] {
        let section = document["backups"]
        var targets = TextTable(columns: [.init(title: "TARGET"), .init(title: "STATE"), .init(title: "WHERE")])
        targets.rows = (section?["targets"]?.items ?? []).map { target in
            [
                target["name"]?.shown ?? "", target["state"]?.shown ?? "",
                target["url"]?.shown ?? target["folder"]?.shown ?? "",
            ]
        }
        var streams = TextTable(columns: [
            .init(title: "RUNNING"), .init(title: "NAME"), .init(title: "TARGET"),
            .init(title: "BYTES", isNumber: true), .init(title: "RATE", isNumber: true),
        ])
        streams.rows = (section?["streams"]?.items ?? []).map { stream in
            let rate = stream["bytes_per_second"]?.number
            return [
                stream["verb"]?.shown ?? "", stream["name"]?.shown ?? "", stream["target"]?.shown ?? "",
                stream["bytes"]?.number.map(Measures.bytes) ?? "", rate.map { Measures.bytes($0) + "/s" } ?? "",
            ]
        }
        var last = TextTable(columns: [.init(title: "NAME"), .init(title: "LAST SUCCESS")])
        last.rows = lastSuccesses(section?["last_success"])
        let lines =
            targets.lines(width: Self.width) + last.lines(width: Self.width) + streams.lines(width: Self.width)
        return lines.isEmpty ? [] : [title("Backups")] + lines
    }

    private func lastSuccesses(_ value: JSONValue?) -> [[String]] {
        guard case .object(let members) = value else {
            return (value?.items ?? []).map { one in
                [one["name"]?.shown ?? "", age(of: one["at"] ?? one["time"]).map { $0 + " ago" } ?? "never"]
            }
        }
        return members.sorted { $0.key < $1.key }.map { name, time in
            [name.printable, age(of: time).map { $0 + " ago" } ?? time.shown]
        }
    }

    private var audit: [String] {
        guard let section = document["audit"] else { return [] }
        let events = section["spooled_events"]?.number ?? 0
        let bytes = section["spooled_bytes"]?.number.map { " (\(Measures.bytes($0)))" } ?? ""
        let oldest = section["oldest_age_seconds"]?.number ?? 0
        var text = events == 0 ? "every event has arrived" : "\(Measures.count(events)) events wait\(bytes)"
        if events > 0, oldest > 0 { text += ", the oldest for \(Measures.span(Int64(oldest)))" }
        if let next = section["next_seq"]?.number { text += "; next number \(Measures.count(next))" }
        if let cosigned = section["cosigned"]?.number, cosigned > 0 {
            text += "; cosigned by the plane up to \(Measures.count(cosigned))"
        }
        for key in ["lost", "dropped"] {
            if let count = section[key]?.total, count > 0 { text += "; \(Measures.count(count)) \(key)" }
        }
        if let problem = section["last_error"]?.shown, !problem.isEmpty { text += "; last error: \(problem)" }
        return [title("Audit")] + TextTable.wrapped(text, width: Self.width, indent: TextTable.indent)
    }

    /// From so many on they stand in two columns: the page should not be mostly lanes.
    private static let manyLanes = 8

    private var lanes: [String] {
        let columns: [TextTable.Column] = [
            .init(title: "LANE OR QUEUE"), .init(title: "LOAD", isNumber: true), .init(title: "LAG", isNumber: true),
            .init(title: "JOBS", isNumber: true),
        ]
        let rows = (document["lanes"]?.items ?? []).map { lane in
            let lag = lane["lag_seconds"]?.number ?? 0
            // What such a queue waits for is somebody else's pace.
            let mark = lane["patient"] == .boolean(true) && lag >= 1 ? " waits" : ""
            return [
                lane["label"]?.shown ?? "", Measures.percent(lane["load"]?.number ?? 0),
                (lag < 1 ? "\(Int(lag * 1000)) ms" : Measures.span(Int64(lag))) + mark,
                lane["jobs"]?.number.map(Measures.count) ?? "",
            ]
        }
        guard rows.count >= Self.manyLanes else {
            return block("Lanes and queues", TextTable(columns: columns, rows: rows))
        }
        let half = (rows.count + 1) / 2
        let pairs = rows.prefix(half).enumerated().map { index, row in
            row + (half + index < rows.count ? rows[half + index] : columns.map { _ in "" })
        }
        return block("Lanes and queues", TextTable(columns: columns + columns, rows: pairs))
    }

    private func block(_ name: String, _ table: TextTable) -> [String] {
        let lines = table.lines(width: Self.width)
        return lines.isEmpty ? [] : [title(name)] + lines
    }

    private func title(_ text: String) -> String { coloured(text, 1) }

    private func age(of time: JSONValue?) -> String? {
        guard let text = time?.string, let then = Measures.seconds(text) else { return nil }
        return Measures.span(max(0, now - then))
    }

    private static func ahead(_ time: JSONValue?, _ now: Int64) -> String {
        guard let text = time?.string, let then = Measures.seconds(text) else { return "" }
        return then >= now ? Measures.span(then - now) : "\(Measures.span(now - then)) ago"
    }

    /// Select Graphic Rendition, ECMA-48: 1 bold, 31 red, 32 green, 33 yellow, 36 cyan.
    private static func colour(of word: String) -> Int {
        switch word {
        case "ready": 32
        case "degraded", "warn", "draining": 33
        case "failed", "error": 31
        default: 36
        }
    }

    private func coloured(_ text: String, _ code: Int) -> String {
        isColoured ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

extension String {
    fileprivate func padding(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
