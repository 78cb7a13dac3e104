//! RFC 5256 §3: how messages are put into threads.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU64;
use std::sync::OnceLock;

/// Message ids of one References field that are looked at; the newest ones count.
const REFERENCES_COUNT_MAX: usize = 100;
/// Parents that are followed before a thread is cut: a guard against work without end.
const DEPTH_MAX: usize = 1_000;

/// Bytes of a base subject by which threads are gathered; longer ones are cut.
const SUBJECT_BYTES_MAX: usize = 1024;

/// A message id, as a hash under a key of this process: threading a mailbox must cost memory by the number of its
/// messages, not by what strangers wrote into their fields.
type Id = NonZeroU64;

fn id_of(text: &str) -> Id {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    NonZeroU64::new(KEY.get_or_init(RandomState::new).hash_one(text)).unwrap_or(NonZeroU64::MIN)
}

/// What threading looks at in a message.
pub struct Item {
    number: u32,
    date: i64,
    subject: String,
    reply: bool,
    id: Option<Id>,
    references: Vec<Id>,
}

/// A thread: a message (or a place where one is missing) with its answers.
#[derive(Debug, PartialEq, Eq)]
pub struct Tree {
    /// `None`: a message that is known only by being referred to.
    pub number: Option<u32>,
    /// In order of date.
    pub children: Vec<Tree>,
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Flat, since a thread can be deeper than the stack.
        let mut rest = std::mem::take(&mut self.children);
        while let Some(mut tree) = rest.pop() {
            rest.append(&mut tree.children);
        }
    }
}

impl Item {
    /// Of a message at a place, from what [`ids_of`] gave.
    pub fn new(number: u32, date: i64, (subject, reply): (&str, bool), mut ids: impl Iterator<Item = u64>) -> Self {
        let id = ids.next().and_then(NonZeroU64::new);
        let subject = subject.get(..subject.floor_char_boundary(SUBJECT_BYTES_MAX)).unwrap_or_default().to_owned();
        Self { number, date, subject, reply, id, references: ids.filter_map(NonZeroU64::new).collect() }
    }
}

/// The hash of a message's own id (0: none), and of those it refers to; the fields as they stand.
pub fn ids_of(id: &str, references: &str, in_reply_to: &str) -> (u64, Vec<u64>) {
    let mut ids = message_ids(references);
    if ids.is_empty() {
        // RFC 5256 §3 (1): else the first id of In-Reply-To.
        ids = message_ids(in_reply_to);
        ids.truncate(1);
    }
    let from = ids.len().saturating_sub(REFERENCES_COUNT_MAX);
    let references = ids.split_off(from).into_iter().map(NonZeroU64::get).collect();
    (message_ids(id).first().map_or(0, |id| id.get()), references)
}

/// The ids between angle brackets.
fn message_ids(text: &str) -> Vec<Id> {
    let texts = text.split('<').skip(1).filter_map(|part| part.split_once('>')).map(|(id, _)| id.trim());
    texts.filter(|id| !id.is_empty()).map(id_of).collect()
}

/// ORDEREDSUBJECT: by base subject, then date; all messages of a subject answer the first.
pub fn by_subject(items: &[Item]) -> Vec<Tree> {
    let mut order: Vec<&Item> = items.iter().collect();
    order.sort_by_key(|item| (item.date, item.number));
    let mut place: HashMap<&str, usize> = HashMap::new();
    let mut threads: Vec<Tree> = Vec::new();
    for item in order {
        let tree = Tree { number: Some(item.number), children: Vec::new() };
        match place.get(&*item.subject).and_then(|at| threads.get_mut(*at)) {
            Some(thread) => thread.children.push(tree),
            None => {
                place.insert(&item.subject, threads.len());
                threads.push(tree);
            }
        }
    }
    threads
}

/// A message, or the place of one, while threads are made.
struct Node {
    item: Option<usize>,
    parent: Option<usize>,
    children: Vec<usize>,
}

struct Nodes {
    nodes: Vec<Node>,
    by_id: HashMap<Id, usize>,
}

impl Nodes {
    fn new_node(&mut self, item: Option<usize>) -> usize {
        self.nodes.push(Node { item, parent: None, children: Vec::new() });
        self.nodes.len().saturating_sub(1)
    }
    fn of_id(&mut self, id: Id) -> usize {
        if let Some(at) = self.by_id.get(&id) {
            return *at;
        }
        let at = self.new_node(None);
        self.by_id.insert(id, at);
        at
    }
    fn parent(&self, at: usize) -> Option<usize> {
        self.nodes.get(at).and_then(|node| node.parent)
    }
    /// Whether `above` is `at` or stands over it.
    fn is_above(&self, above: usize, at: usize) -> bool {
        std::iter::successors(Some(at), |at| self.parent(*at)).take(DEPTH_MAX).any(|one| one == above)
    }
    fn depth(&self, at: usize) -> usize {
        std::iter::successors(self.parent(at), |at| self.parent(*at)).take(DEPTH_MAX).count()
    }
    fn set_parent(&mut self, at: usize, parent: Option<usize>) {
        if let Some(parent) = parent
            && (self.is_above(at, parent) || self.depth(parent).saturating_add(1) >= DEPTH_MAX)
        {
            // RFC 5256 §3 (1): no link that would make a loop.
            return;
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.parent = parent;
        }
    }
}

/// REFERENCES.
pub fn by_references(items: &[Item]) -> Vec<Tree> {
    let mut forest = linked(items);
    forest.sort_by_key(|tree| tree.order);
    // (5): threads of the same subject are one.
    let mut threads = gather_subjects(forest);
    // (6)
    threads.sort_by_key(|tree| tree.order);
    threads.into_iter().map(|built| built.tree).collect()
}

/// REFS: as REFERENCES, but subjects join nothing, and the thread with the newest message comes last.
pub fn by_refs(items: &[Item]) -> Vec<Tree> {
    let mut forest = linked(items);
    forest.sort_by_key(|tree| tree.newest);
    forest.into_iter().map(|built| built.tree).collect()
}

/// Threads by their references alone.
fn linked(items: &[Item]) -> Vec<Built> {
    let mut nodes = Nodes { nodes: Vec::with_capacity(items.len()), by_id: HashMap::new() };
    for (index, item) in items.iter().enumerate() {
        link(&mut nodes, index, item);
    }
    // (2) to (4): children by date; places without a message give way to what is below them.
    for at in 0..nodes.nodes.len() {
        if let Some(parent) = nodes.parent(at)
            && let Some(node) = nodes.nodes.get_mut(parent)
        {
            node.children.push(at);
        }
    }
    let roots: Vec<usize> = (0..nodes.nodes.len()).filter(|at| nodes.parent(*at).is_none()).collect();
    roots.into_iter().flat_map(|root| build(&nodes, items, root)).collect()
}

fn link(nodes: &mut Nodes, index: usize, item: &Item) {
    let mut parent: Option<usize> = None;
    for id in &item.references {
        let at = nodes.of_id(*id);
        if parent.is_some() && nodes.parent(at).is_none() {
            nodes.set_parent(at, parent);
        }
        parent = Some(at);
    }
    // A message without an id, or with one that is taken, stands for itself.
    let known = item.id.map(|id| nodes.of_id(id));
    let at = match known {
        Some(at) if nodes.nodes.get(at).is_some_and(|node| node.item.is_none()) => at,
        _ => nodes.new_node(None),
    };
    if let Some(node) = nodes.nodes.get_mut(at) {
        node.item = Some(index);
        node.parent = None;
    }
    nodes.set_parent(at, parent);
}

/// A thread with what it is ordered and gathered by.
struct Built {
    tree: Tree,
    order: (i64, u32),
    /// The same of the newest message in it.
    newest: (i64, u32),
    subject: String,
    reply: bool,
}

/// The thread below a node, without recursion. A place without a message and with one child is that child; at the
/// top, one without a message and with several children stays (they belong together).
fn build(nodes: &Nodes, items: &[Item], root: usize) -> Option<Built> {
    let mut order = vec![root];
    let mut at = 0usize;
    while let Some(node) = order.get(at).and_then(|index| nodes.nodes.get(*index)) {
        order.extend_from_slice(&node.children);
        at = at.saturating_add(1);
    }
    let mut done: HashMap<usize, Vec<Built>> = HashMap::new();
    for index in order.into_iter().rev() {
        let node = nodes.nodes.get(index)?;
        let mut children: Vec<Built> = node.children.iter().filter_map(|child| done.remove(child)).flatten().collect();
        children.sort_by_key(|child| child.order);
        let newest = children.iter().map(|child| child.newest).max();
        let built = match node.item.and_then(|item| items.get(item)) {
            Some(item) => vec![Built {
                order: (item.date, item.number),
                newest: newest.unwrap_or_default().max((item.date, item.number)),
                subject: item.subject.clone(),
                reply: item.reply,
                tree: Tree {
                    number: Some(item.number),
                    children: children.into_iter().map(|child| child.tree).collect(),
                },
            }],
            None if index == root && children.len() > 1 => {
                let first = children.first();
                vec![Built {
                    order: first.map(|child| child.order).unwrap_or_default(),
                    newest: newest.unwrap_or_default(),
                    subject: first.map(|child| child.subject.clone()).unwrap_or_default(),
                    reply: first.is_some_and(|child| child.reply),
                    tree: Tree { number: None, children: children.into_iter().map(|child| child.tree).collect() },
                }]
            }
            None => children,
        };
        done.insert(index, built);
    }
    done.remove(&root)?.into_iter().next()
}

/// RFC 5256 §3 (5): a reply joins the thread of its subject; two originals become brothers under an empty place.
fn gather_subjects(forest: Vec<Built>) -> Vec<Built> {
    let mut place: HashMap<String, usize> = HashMap::new();
    // Who leads a subject: an empty place before a message, an original before a reply.
    for (at, built) in forest.iter().enumerate().filter(|(_, built)| !built.subject.is_empty()) {
        let leads = |other: &Built| {
            (built.tree.number.is_none() && other.tree.number.is_some())
                || (other.tree.number.is_some() && other.reply && !built.reply)
        };
        match place.get(&built.subject).and_then(|other| forest.get(*other)) {
            Some(other) if !leads(other) => {}
            _ => {
                place.insert(built.subject.clone(), at);
            }
        }
    }
    let mut slots: Vec<Option<Built>> = forest.into_iter().map(Some).collect();
    for at in 0..slots.len() {
        let Some(leader) = slots.get(at).and_then(Option::as_ref).and_then(|b| place.get(&b.subject)).copied() else {
            continue;
        };
        if leader == at {
            continue;
        }
        let Some(joining) = slots.get_mut(at).and_then(Option::take) else { continue };
        if let Some(Some(lead)) = slots.get_mut(leader) {
            join(lead, joining);
        }
    }
    slots.into_iter().flatten().collect()
}

fn join(lead: &mut Built, mut joining: Built) {
    if lead.tree.number.is_none() {
        if joining.tree.number.is_none() {
            lead.tree.children.append(&mut joining.tree.children);
        } else {
            lead.tree.children.push(joining.tree);
        }
    } else if joining.reply && !lead.reply {
        lead.tree.children.push(joining.tree);
    } else {
        let first = std::mem::replace(&mut lead.tree, Tree { number: None, children: Vec::new() });
        lead.tree.children.extend([first, joining.tree]);
    }
    lead.order = lead.order.min(joining.order);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::{Item, Tree, by_references, by_refs, by_subject};

    fn item(number: u32, subject: &str, id: &str, references: &str) -> Item {
        let (base, reply) = crate::subject::base_subject(subject);
        let (id, references) = super::ids_of(id, references, "");
        Item::new(number, i64::from(number), (&base, reply), std::iter::once(id).chain(references))
    }
    fn shape(tree: &Tree) -> String {
        let number = tree.number.map_or_else(|| String::from("-"), |n| n.to_string());
        let children: Vec<String> = tree.children.iter().map(shape).collect();
        if children.is_empty() { number } else { format!("{number}[{}]", children.join(" ")) }
    }
    fn shapes(forest: &[Tree]) -> Vec<String> {
        forest.iter().map(shape).collect()
    }

    #[test]
    fn replies_stand_below_what_they_answer() {
        let items = [
            item(1, "a", "<1>", ""),
            item(2, "Re: a", "<2>", "<1>"),
            item(3, "Re: a", "<3>", "<1> <2>"),
            item(4, "b", "<4>", ""),
        ];
        assert_eq!(shapes(&by_references(&items)), ["1[2[3]]", "4"]);
        assert_eq!(shapes(&by_subject(&items)), ["1[2 3]", "4"]);
    }

    #[test]
    fn a_missing_parent_keeps_brothers_together() {
        let items = [item(1, "x", "<1>", "<0>"), item(2, "y", "<2>", "<0>")];
        assert_eq!(shapes(&by_references(&items)), ["-[1 2]"]);
    }

    #[test]
    fn a_reply_without_references_joins_by_subject() {
        let items = [item(1, "a", "<1>", ""), item(2, "Re: a", "<2>", "")];
        assert_eq!(shapes(&by_references(&items)), ["1[2]"]);
    }

    #[test]
    fn refs_gather_no_subjects_and_end_with_the_newest() {
        let items = [
            item(1, "a", "<1>", ""),
            item(2, "b", "<2>", ""),
            item(3, "Re: b", "<3>", ""),
            item(4, "Re: a", "<4>", "<1>"),
        ];
        assert_eq!(shapes(&by_refs(&items)), ["2", "3", "1[4]"]);
        assert_eq!(shapes(&by_references(&items)), ["1[4]", "2[3]"]);
        assert!(by_refs(&[]).is_empty());
    }

    #[test]
    fn a_loop_of_references_is_cut() {
        let items = [item(1, "a", "<1>", "<2>"), item(2, "b", "<2>", "<1>")];
        let forest = by_references(&items);
        let count: usize = forest.iter().map(|tree| shape(tree).matches(char::is_numeric).count()).sum();
        assert_eq!(count, 2, "{:?}", shapes(&forest));
    }

    #[test]
    fn long_fields_cost_no_memory() {
        let long = "x".repeat(100_000);
        let item = item(1, &long, &format!("<{long}>"), &format!("<{long}> <a> <b> <>"));
        let held = item.subject.capacity() + item.references.capacity() * size_of_val(&item.references[0]);
        assert!(held < 4096, "{held}");
        assert_eq!(item.references.len(), 3);
    }

    #[test]
    fn a_very_deep_thread_ends() {
        let items: Vec<Item> =
            (1..20_000u32).map(|n| item(n, "deep", &format!("<{n}>"), &format!("<{}>", n - 1))).collect();
        assert!(!by_references(&items).is_empty());
    }
}
