//! What a batch consists of on its way from an engine's source to its sink.

use std::any::Any;

use crate::batch::RawBatch;

/// A batch's records: as they are stored, or decoded.
///
/// Each engine writes what it reads itself. One that is given the other kind answers with
/// [`LaneEvent::WriteFailed`](super::LaneEvent::WriteFailed).
pub enum Body {
    /// Stored batches, cut apart and unopened, in offset order; none where nothing is for the target.
    Batches(Vec<RawBatch>),
    /// Decoded records.
    Records(Box<dyn Records>),
}

/// Decoded records in the form that their engine keeps them. The seam asks only for what is told here.
pub trait Records: Any + Send {
    /// The `traceparent` headers of the first records that have one, at most so many.
    fn trace_parents(&self, most: usize) -> Vec<Vec<u8>>;
}

/// A body that another engine made.
#[derive(Debug)]
pub(super) struct ForeignBody;

impl Body {
    /// The `traceparent` headers of the first records that have one; none of batches, which are not opened.
    pub fn trace_parents(&self, most: usize) -> Vec<Vec<u8>> {
        match self {
            Self::Batches(_) => Vec::new(),
            Self::Records(records) => records.trace_parents(most),
        }
    }

    /// The stored batches.
    pub(super) fn into_batches(self) -> Result<Vec<RawBatch>, ForeignBody> {
        match self {
            Self::Batches(batches) => Ok(batches),
            Self::Records(_) => Err(ForeignBody),
        }
    }

    /// The decoded records, in the form `T`.
    pub(super) fn into_records<T: Records>(self) -> Result<Box<T>, ForeignBody> {
        match self {
            Self::Batches(_) => Err(ForeignBody),
            Self::Records(records) => {
                let any: Box<dyn Any> = records;
                any.downcast().map_err(|_| ForeignBody)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Decoded(&'static str);
    struct Others;

    impl Records for Decoded {
        fn trace_parents(&self, most: usize) -> Vec<Vec<u8>> {
            vec![self.0.into(); most]
        }
    }

    impl Records for Others {
        fn trace_parents(&self, _: usize) -> Vec<Vec<u8>> {
            Vec::new()
        }
    }

    #[test]
    fn an_engine_gets_its_own_records_back_and_no_others() {
        let body = || Body::Records(Box::new(Decoded("one")));
        assert_eq!(body().trace_parents(2), [b"one", b"one"]);
        assert_eq!(body().into_records::<Decoded>().unwrap().0, "one");
        assert!(body().into_records::<Others>().is_err());
        assert!(body().into_batches().is_err());
    }

    #[test]
    fn batches_are_no_records() {
        let body = || Body::Batches(Vec::new());
        assert!(body().trace_parents(2).is_empty());
        assert!(body().into_batches().unwrap().is_empty());
        assert!(body().into_records::<Decoded>().is_err());
    }
}
