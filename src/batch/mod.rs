//! Record batches (magic 2) as bytes: header view, record view, builder, codecs. Pure.
