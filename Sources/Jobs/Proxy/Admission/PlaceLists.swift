/// Lists through numbered places: each place is in one of them at most, and every step takes constant time.
struct PlaceLists {
    /// The ends of one list; kept by whoever it belongs to.
    struct List {
        fileprivate var first = PlaceLists.none
        fileprivate var last = PlaceLists.none
        fileprivate(set) var count = 0

        /// The place that was appended first.
        var front: Int? { first == PlaceLists.none ? nil : Int(first) }
    }

    fileprivate static let none: Int32 = -1

    private var previous: [Int32] = []
    private var next: [Int32] = []

    /// The first in front.
    func places(in list: List) -> [Int] {
        var all: [Int] = []
        var place = list.first
        while place != Self.none {
            all.append(Int(place))
            place = next[Int(place)]
        }
        return all
    }

    mutating func append(_ place: Int, to list: inout List) {
        while next.count <= place {
            next.append(Self.none)
            previous.append(Self.none)
        }
        (previous[place], next[place]) = (list.last, Self.none)
        if list.last == Self.none { list.first = Int32(place) } else { next[Int(list.last)] = Int32(place) }
        list.last = Int32(place)
        list.count += 1
    }

    /// It must be in this list.
    mutating func remove(_ place: Int, from list: inout List) {
        let (before, after) = (previous[place], next[place])
        if before == Self.none { list.first = after } else { next[Int(before)] = after }
        if after == Self.none { list.last = before } else { previous[Int(after)] = before }
        list.count -= 1
    }

    mutating func moveToEnd(_ place: Int, of list: inout List) {
        guard list.last != Int32(place) else { return }
        remove(place, from: &list)
        append(place, to: &list)
    }
}
