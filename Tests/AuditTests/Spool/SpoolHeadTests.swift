import Foundation
import IO
import TestSupport
import Testing

@testable import Audit

@Suite struct `The spool's head` {
    private let directory: TemporaryDirectory
    private var path: String { directory.file("audit.head") }

    init() throws { directory = try TemporaryDirectory() }

    private func mark(_ last: Int64) -> SpoolHead.Mark { SpoolHead.Mark(epoch: 7, last: last, offered: last / 2) }

    @Test func `is the last mark, and stays small`() throws {
        var head = try SpoolHead(path, mark(0))
        for last in 1...20_000 {
            try head.advance(to: mark(Int64(last)))
            if last % 1999 == 0 { #expect(SpoolHead.read(path) == mark(Int64(last))) }
        }
        #expect(SpoolHead.read(path) == mark(20_000))
        #expect(try Files.size(path) < SpoolHead.sizeLimit + 64)
    }

    @Test func `is the last whole line when the last was cut short`() throws {
        for (text, expected) in [
            ("7 4 2 .\n7 5 2 .\n7 6", mark(5)), ("7 4 2 .\n7 5 2 .\n", mark(5)), ("7 4 2 .", nil), ("", nil),
            ("7 4 2 .\nnonsense\n", nil), ("7 4 2\n", nil), ("-7 4 2 .\n", nil),
        ] {
            try directory.write(text, to: "audit.head")
            #expect(SpoolHead.read(path) == expected, "\(text)")
        }
        try directory.write([UInt8](repeating: 0xFF, count: 300_000), to: "audit.head")
        #expect(SpoolHead.read(path) == nil)
        #expect(SpoolHead.read(directory.file("missing")) == nil)
    }
}
