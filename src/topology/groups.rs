//! Which consumer groups a flow follows.

use super::GroupsSpec;
use super::java_regex::{JavaPattern, PatternError};

/// A flow's choice of groups, compiled once.
#[derive(Clone, Debug)]
pub struct GroupSelector {
    include: Vec<JavaPattern>,
    exclude: Vec<JavaPattern>,
}

impl GroupSelector {
    /// Compiles the patterns.
    ///
    /// Fails with the first pattern that can't be used; `config::load` reports all of them.
    pub fn new(groups: &GroupsSpec) -> Result<Self, PatternError> {
        let compile = |patterns: &[String]| -> Result<Vec<_>, _> {
            patterns.iter().map(|pattern| JavaPattern::compile(pattern)).collect()
        };
        Ok(Self { include: compile(&groups.include)?, exclude: compile(&groups.exclude)? })
    }

    /// Whether the flow follows the group.
    ///
    /// Fails if a pattern gives up on the name: nobody knows whether it matches.
    pub fn takes(&self, group: &str) -> Result<bool, PatternError> {
        Ok(any_matches(&self.include, group)? && !any_matches(&self.exclude, group)?)
    }
}

fn any_matches(patterns: &[JavaPattern], group: &str) -> Result<bool, PatternError> {
    for pattern in patterns {
        if pattern.matches(group)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn selector(include: &[&str], exclude: &[&str]) -> GroupSelector {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let spec = GroupsSpec {
            enabled: true,
            include: owned(include),
            exclude: owned(exclude),
            interval: Duration::from_secs(5),
            sync: true,
        };
        GroupSelector::new(&spec).unwrap()
    }

    #[test]
    fn exclude_wins_and_patterns_match_whole_names() {
        let selector = selector(&["billing.*", "audit"], &[".*-test"]);
        for (group, taken) in [
            ("billing", true),
            ("billing-eu", true),
            ("billing-test", false),
            ("audit", true),
            ("audit-2", false),
            ("my-billing", false),
        ] {
            assert_eq!(selector.takes(group).unwrap(), taken, "{group}");
        }
    }

    #[test]
    fn mirror_maker_2_s_defaults_leave_the_groups_of_tools() {
        let selector = selector(&[".*"], &crate::topology::DEFAULT_GROUPS_EXCLUDE);
        for (group, taken) in [
            ("orders", true),
            ("console-consumer-1", false),
            ("connect-sink", false),
            ("__x", false),
            ("connect", true),
        ] {
            assert_eq!(selector.takes(group).unwrap(), taken, "{group}");
        }
    }
}
