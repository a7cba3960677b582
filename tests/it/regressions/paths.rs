//! Mistakes around paths.

use cloakroom::ErrorKind;
use serde_json::Value;

use super::fresh;

/// A list of no segments was refused in a session with data, and in one without any it was the path to nothing: `remove`
/// said `Ok(false)`. An application learnt of its mistake when the first visitor had data. Found by the fuzz target `path`.
#[tokio::test]
async fn a_path_without_a_segment_is_refused_in_an_empty_session_too() {
    for is_empty in [true, false] {
        let session = fresh().create();
        if !is_empty {
            session.insert("n", 1).unwrap();
        }
        let errors = [
            session.get::<Value>([]).unwrap_err(),
            session.contains([]).unwrap_err(),
            session.insert([], 1).unwrap_err(),
            session.remove([]).unwrap_err(),
            session.take::<Value>([]).unwrap_err(),
        ];
        assert_eq!(errors.map(|error| error.kind()), [ErrorKind::InvalidPath; 5]);
    }
}
