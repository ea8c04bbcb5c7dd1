/// Connections in the order in which they last spoke; every step takes constant time but the search for one of an
/// address.
struct SilenceList {
    private struct Node {
        let id: UInt64
        var previous: Int?
        var next: Int?
    }

    private var nodes: [Node] = []
    private var free: [Int] = []
    private var places: [UInt64: Int] = [:]
    private var first: Int?
    private var last: Int?

    var count: Int { places.count }

    mutating func append(_ id: UInt64) {
        precondition(places[id] == nil, "a connection arrives once")
        let node = Node(id: id, previous: last, next: nil)
        let place: Int
        if let reused = free.popLast() {
            nodes[reused] = node
            place = reused
        } else {
            place = nodes.count
            nodes.append(node)
        }
        if let last { nodes[last].next = place } else { first = place }
        last = place
        places[id] = place
    }

    mutating func remove(_ id: UInt64) {
        guard let place = places.removeValue(forKey: id) else { return }
        let node = nodes[place]
        if let previous = node.previous { nodes[previous].next = node.next } else { first = node.next }
        if let next = node.next { nodes[next].previous = node.previous } else { last = node.previous }
        free.append(place)
    }

    mutating func moveToEnd(_ id: UInt64) {
        guard let place = places[id], place != last else { return }
        remove(id)
        append(id)
    }

    /// The longest silent of those that `isWanted`.
    func longest(where isWanted: (UInt64) -> Bool) -> UInt64? {
        var place = first
        while let current = place {
            if isWanted(nodes[current].id) { return nodes[current].id }
            place = nodes[current].next
        }
        return nil
    }
}
