/// Paths of EST (RFC 7030 §3.2.2) and the labels that the plane gives: a node's own identity is issued at the label of
/// its cluster, a role's certificate at `<cluster>.<role>`.
package enum EST {
    package static func path(label: String, operation: Operation) -> String {
        "/.well-known/est/\(label)/\(operation.rawValue)"
    }

    package static func nodeLabel(cluster: String) -> String { cluster }
    package static func roleLabel(cluster: String, role: String) -> String { "\(cluster).\(role)" }

    package enum Operation: String, Sendable {
        case authorities = "cacerts"
        case enroll = "simpleenroll"
        case reenroll = "simplereenroll"
        case attributes = "csrattrs"
    }
}
