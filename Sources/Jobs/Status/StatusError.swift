/// Why the status job cannot listen. Names the path and what to do.
package struct StatusError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
