//! The policy table: for each action the right it needs, what it does to quota, its rate class and its audit level.
