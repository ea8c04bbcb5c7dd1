import Glibc
import IO

/// Standard output and standard error of a verb.
enum Console {
    /// Of a table that goes to a program: nothing of it is cut.
    private static let unlimited = 1000

    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// https://no-color.org; a terminal without any abilities is called dumb (terminfo(5)).
    static func isColoured(isTerminal: Bool, _ environment: [String: String]) -> Bool {
        isTerminal && environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
    }

    /// Of tables: a terminal's own.
    static var width: Int { isTerminal ? max(StatusText.width, TerminalSize.columns ?? 0) : unlimited }

    static func say(_ text: String) { write(text, to: STDOUT_FILENO) }

    /// On standard error, so that it never gets into what a program reads.
    static func complain(_ text: String) { write(text, to: STDERR_FILENO) }

    /// Over the line that stands on the terminal (ECMA-48, erase in line).
    static func redraw(_ text: String) { write("\r\u{1B}[K" + text, to: STDERR_FILENO, end: "") }

    private static func write(_ text: String, to number: Int32, end: String = "\n") {
        let bytes = Array((text.hasSuffix(end) ? text : text + end).utf8)
        let descriptor = Descriptor(owning: number)
        // Nobody is left to tell when a standard descriptor cannot be written.
        try? descriptor.writeAll(bytes)
        _ = descriptor.release()
    }
}

extension String {
    /// Without what a terminal would obey: a peer's certificate may hold any text. Control characters, line breaks and
    /// the marks that turn the direction of writing become `?`.
    var printable: String {
        String(
            String.UnicodeScalarView(
                unicodeScalars.map { scalar in
                    switch scalar.value {
                    case 0..<0x20, 0x7F..<0xA0, 0x200E, 0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF: "?"
                    default: scalar
                    }
                }))
    }
}
