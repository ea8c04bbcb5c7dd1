/// Why a verb could not do what the operator asked: what happened, and what to do about it. One line.
struct PlaneProblem: Error, CustomStringConvertible {
    let description: String

    init(_ what: String, remedy: String) { description = "\(what): \(remedy)" }
}
