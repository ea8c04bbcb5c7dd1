/// The details of an event by stable field name. In the order of their canonical text, so that nothing is hashed when
/// they are put together and nothing is sorted when they are written; and few, so that a look-up reads some of them.
package struct AuditFields: Sendable, ExpressibleByDictionaryLiteral {
    package typealias Element = (key: String, value: JSONValue)

    private var members: [Element]

    package init() { members = [] }

    /// The last counts of those of one name.
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self.init(room: elements.count)
        for (name, value) in elements { self[name] = value }
    }

    package init(_ members: [String: JSONValue]) {
        self.init(room: members.count)
        for (name, value) in members.sorted(by: { Self.precedes($0.key, $1.key) }) {
            self.members.append((name, value))
        }
    }

    /// `room`: for how many. Those that come in the order of their names only have to be put at the end.
    package init(room: Int) {
        members = []
        members.reserveCapacity(room)
    }

    package var object: JSONValue { .object(Dictionary(members, uniquingKeysWith: { $1 })) }

    package subscript(name: String) -> JSONValue? {
        get { members.first { $0.key == name }?.value }
        set {
            let index = place(of: name)
            let isThere = index < members.count && members[index].key == name
            switch (newValue, isThere) {
            case (let value?, true): members[index].value = value
            case (let value?, false): members.insert((name, value), at: index)
            case (nil, true): members.remove(at: index)
            case (nil, false): break
            }
        }
    }

    /// Those of `others` count where both have one.
    package mutating func merge(_ others: AuditFields) {
        for (name, value) in others { self[name] = value }
    }

    /// Where it stands, or would stand.
    private func place(of name: String) -> Int {
        guard let last = members.last, !Self.precedes(last.key, name) else { return members.count }
        var (low, high) = (0, members.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if Self.precedes(members[middle].key, name) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func precedes(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}

extension AuditFields: RandomAccessCollection {
    package var startIndex: Int { 0 }
    package var endIndex: Int { members.count }
    package subscript(position: Int) -> Element { members[position] }
}

extension AuditFields: Equatable {
    package static func == (left: AuditFields, right: AuditFields) -> Bool { left.elementsEqual(right, by: ==) }
}
