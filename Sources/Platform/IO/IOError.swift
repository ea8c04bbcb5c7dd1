import Glibc

/// A system call that failed: what was being done, and the system's own words.
package struct IOError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Such as `connect to 127.0.0.1:5432`.
    package let operation: String
    /// errno.
    package let code: Int32
    private let words: String?

    /// `words`: where the reason is not an errno.
    package init(_ operation: String, code: Int32 = errno, words: String? = nil) {
        self.operation = operation
        self.code = code
        self.words = words
    }

    package var description: String { "\(operation): \(words ?? String(cString: strerror(code)))" }
}

/// Calls again while a signal interrupts: the one place that knows EINTR.
@inline(__always)
func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}
