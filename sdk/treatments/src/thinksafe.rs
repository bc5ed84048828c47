//! Self-generated safety alignment.
