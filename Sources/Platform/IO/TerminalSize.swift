import Glibc

/// How wide the terminal is that standard output goes to.
package enum TerminalSize {
    /// nil: it goes to no terminal, or to one that does not tell (ioctl_tty(2), TIOCGWINSZ).
    package static var columns: Int? {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }
}
