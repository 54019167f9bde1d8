//! A way through the mesh, for people to read.

use std::fmt;

use super::Alias;

/// Shows aliases as `a → b → c`.
pub struct PathText<'a>(pub &'a [Alias]);

impl fmt::Display for PathText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, alias) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" → ")?;
            }
            alias.fmt(f)?;
        }
        Ok(())
    }
}
