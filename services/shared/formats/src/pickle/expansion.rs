//! Results that are small in the file and immense to whoever walks over them: containers that hold each other many times.

use std::collections::BTreeMap;

use super::value::{Heap, Node, Value};

/// The size of a walk that no ordinary result needs.
const MAX_WALK: u64 = 1 << 26;
/// How many times larger than the file it must be besides.
const MAX_RATIO: u64 = 64;
/// How often a container may hold one that holds it.
const MAX_CYCLES: u32 = 8;

enum Visit {
    Open(Value),
    Close(u32),
}

/// What is the matter with a result that came out of so many bytes.
pub fn judge(heap: &Heap, result: Value, bytes: u64) -> Option<&'static str> {
    // None: being walked. What is walked when it is met again holds itself.
    let mut sizes: BTreeMap<u32, Option<u64>> = BTreeMap::new();
    let mut todo = vec![Visit::Open(result)];
    let mut largest = 0;
    while let Some(visit) = todo.pop() {
        match visit {
            Visit::Open(Value::Node(index)) => {
                let children = children(heap, Value::Node(index));
                if children.is_empty() || sizes.contains_key(&index) {
                    continue;
                }
                sizes.insert(index, None);
                todo.push(Visit::Close(index));
                todo.extend(children.iter().copied().map(Visit::Open));
            }
            Visit::Open(_) => {}
            Visit::Close(index) => {
                let (mut size, mut cycles) = (1_u64, 0);
                for child in children(heap, Value::Node(index)) {
                    let Value::Node(child) = child else { continue };
                    match sizes.get(child) {
                        Some(Some(inner)) => size = size.saturating_add(*inner),
                        Some(None) => cycles += 1,
                        None => size = size.saturating_add(1),
                    }
                }
                if cycles > MAX_CYCLES {
                    return Some("a container holds what holds it many times over");
                }
                largest = largest.max(size);
                sizes.insert(index, Some(size));
            }
        }
    }
    (largest > MAX_WALK && largest / MAX_RATIO > bytes)
        .then_some("containers hold each other so often that walking over the result takes forever")
}

fn children(heap: &Heap, value: Value) -> &[Value] {
    match heap.node(value) {
        Some(Node::Tuple(tuple)) => &tuple.items,
        Some(Node::Items(items)) => &items.kept,
        _ => &[],
    }
}
