import COpenSSL
import Glibc

/// What was being done when OpenSSL (or a file of its) failed, and the library's own words.
package struct OpenSSLError: Error, Sendable, CustomStringConvertible {
    package let operation: String
    package let reasons: [String]

    package init(_ operation: String, _ reason: String) {
        self.operation = operation
        reasons = [reason]
    }

    /// Empties the thread's error stack.
    init(stackAfter operation: String) {
        self.operation = operation
        let entries = ErrorStack.drain()
        reasons = entries.isEmpty ? ["no reason given"] : entries.map(\.text)
    }

    /// Takes the words from `errno`.
    init(systemCall operation: String, code: Int32 = errno) {
        self.operation = operation
        reasons = [String(cString: strerror(code))]
    }

    package var description: String { "\(operation): \(reasons.joined(separator: "; "))" }
}

/// OpenSSL's error stack of this thread.
enum ErrorStack {
    struct Entry {
        let library: Int32
        let reason: Int32
        let text: String
    }

    /// Before each call whose outcome SSL_get_error(3) is to tell. ERR_clear_error(3) frees three texts of each of
    /// its 16 places, empty or not; to ask whether there is anything costs a tenth of that.
    static func clear() { if ERR_peek_error() != 0 { ERR_clear_error() } }

    /// All entries, oldest first; OpenSSL keeps 16 at most.
    static func drain() -> [Entry] {
        var entries: [Entry] = []
        var data: UnsafePointer<CChar>?
        var flags: Int32 = 0
        while true {
            let code = ERR_get_error_all(nil, nil, nil, &data, &flags)
            guard code != 0 else { return entries }
            var text = ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(String(code, radix: 16))"
            if let data, flags & ERR_TXT_STRING != 0, data.pointee != 0 { text += " (\(String(cString: data)))" }
            entries.append(Entry(library: ERR_GET_LIB(code), reason: ERR_GET_REASON(code), text: text))
        }
    }
}

/// Runs OpenSSL calls with an empty error stack and lets none behind.
@discardableResult
func openSSL<Value>(_ operation: String, _ body: () -> Value?) throws(OpenSSLError) -> Value {
    OpenSSLLibrary.prepare()
    ErrorStack.clear()
    guard let value = body() else { throw OpenSSLError(stackAfter: operation) }
    return value
}

/// As above, for calls that answer 1 when all went well.
func openSSL(_ operation: String, isOne body: () -> Int32) throws(OpenSSLError) {
    try openSSL(operation) { body() == 1 ? true : nil }
}
