import Testing

@testable import Backups

@Suite struct `An answer of an object store` {
    @Test func `is read with its texts, whatever stands around them`() throws {
        let text = """
            <?xml version="1.0" encoding="UTF-8"?>
            <!-- a > comment -->
            <L xmlns="http://s3.amazonaws.com/doc/2006-03-01/" a = 'b>'>
              <K>a&amp;b &#x41;&#66;&lt;</K><Empty/><O><I>1</I></O ><K>2</K>
            </L>
            """
        let root = try XMLElement.parse(Array(text.utf8))
        #expect(root.name == "L")
        #expect(root.children.map(\.name) == ["K", "Empty", "O", "K"])
        #expect(root.value("K") == "a&b AB<")
        #expect(root.value("Empty") == "")
        #expect(root.child("O")?.value("I") == "1")
        #expect(root.text == "")
    }

    @Test(arguments: [
        "", "a", "<a>", "<a></b>", "</a>", "<a/><b/>", "<a>&nbsp;</a>", "<a>&#0;</a>", "<a>&#xD800;</a>", "<a>&#1</a>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<a><![CDATA[b]]></a>", "<a><?php ?></a>", "<a b>c</a>",
        "<a b=c>d</a>", "<a", "<a b=\"", "<!-- <a/>", "<a/>b",
    ])
    func `is refused where it is no document of the simple kind`(_ text: String) {
        #expect(throws: XMLElement.Malformed.self) { try XMLElement.parse(Array(text.utf8)) }
    }

    @Test func `has limits`() {
        let deep = String(repeating: "<a>", count: 17) + String(repeating: "</a>", count: 17)
        let many = "<a>" + String(repeating: "<b/>", count: 20_000) + "</a>"
        let name = "<" + String(repeating: "a", count: 129) + "/>"
        for text in [deep, many, name] {
            #expect(throws: XMLElement.Malformed.self) { try XMLElement.parse(Array(text.utf8)) }
        }
        #expect(throws: XMLElement.Malformed.self) {
            try XMLElement.parse([0x3C, 0x61, 0x3E, 0xFF, 0x3C, 0x2F, 0x61, 0x3E])
        }
        #expect(throws: XMLElement.Malformed.self) {
            try XMLElement.parse([UInt8](repeating: 0x20, count: XMLElement.byteLimit + 1))
        }
    }

    @Test func `gives back what was escaped`() throws {
        let text = "\"a<b>&c\""
        #expect(try XMLElement.parse(Array("<a>\(XMLElement.escaped(text))</a>".utf8)).text == text)
    }
}
