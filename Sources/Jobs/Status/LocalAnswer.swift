import Reports

/// The answer to one local call, before it becomes HTTP.
struct LocalAnswer: Sendable, Equatable {
    enum Form: String, Sendable {
        case json = "application/json"
        case text = "text/plain; charset=utf-8"
        case openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    }

    let status: Int
    let form: Form
    let body: String
    /// What stands in `Allow` of a 405.
    var allowed: String?

    static func json(_ value: JSONValue, status: Int = 200) -> LocalAnswer {
        LocalAnswer(status: status, form: .json, body: value.text + "\n")
    }

    static func text(_ body: String, status: Int = 200) -> LocalAnswer {
        LocalAnswer(status: status, form: .text, body: body)
    }

    static func problem(_ status: Int, _ detail: String) -> LocalAnswer {
        json(["error": .string(detail)], status: status)
    }

    init(status: Int, form: Form, body: String, allowed: String? = nil) {
        self.status = status
        self.form = form
        self.body = body
        self.allowed = allowed
    }

    init(_ flaw: LocalCall.Flaw) {
        switch flaw {
        case .unknownPath: self = .problem(404, "there is nothing at this path")
        case .badArgument(let detail): self = .problem(400, detail)
        case .wrongMethod(let allowed):
            self = .problem(405, "this path takes \(allowed) only")
            self.allowed = allowed
        }
    }

    init(_ outcome: ControlOutcome) {
        self =
            switch outcome {
            case .done(let value): .json(value)
            case .accepted(let detail): .json(["detail": .string(detail)], status: 202)
            case .unknown(let detail): .problem(404, detail)
            case .refused(let reason): .problem(409, reason)
            case .failed(let detail): .problem(502, detail)
            }
    }
}
