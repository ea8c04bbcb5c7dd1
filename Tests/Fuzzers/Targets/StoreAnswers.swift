@testable import Backups

extension FuzzTarget {
    /// An object store's answer: no document, or one that says the same when it is written again.
    static let storeAnswer = FuzzTarget("store-answer", longest: 1024) {
        [
            "<?xml version=\"1.0\"?><!-- a --><L xmlns='b'><K>a&amp;b&#x41;</K><E/><O><I>1</I></O></L>",
            "<Error><Code>SlowDown</Code><Message>&lt;&gt;&quot;&apos;</Message></Error>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a><![CDATA[b]]></a>",
        ].map { Array($0.utf8) }
    } check: { input in
        let root: XMLElement
        do throws(XMLElement.Malformed) { root = try XMLElement.parse(input) } catch {
            return try promise(!error.reason.isEmpty, "a refusal without a word")
        }
        try promise(count(root) <= input.count, "more elements than bytes")
        try promise((try? XMLElement.parse(Array(written(root).utf8))) == root, "written again it is another")
    }

    private static func count(_ element: XMLElement) -> Int { element.children.reduce(1) { $0 + count($1) } }

    private static func written(_ element: XMLElement) -> String {
        let inside = element.children.map(written).joined() + XMLElement.escaped(element.text)
        return "<\(element.name)>\(inside)</\(element.name)>"
    }
}
